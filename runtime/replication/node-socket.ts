// node-socket.ts: one connection to a redis-server that is read piece by piece: replies first, then whatever a PSYNC
// turns it into. Nothing is read before somebody asks for it, so a slow reader slows the node and fills no memory.
//
//   connect (TCP, TLS or a Unix socket) -> AUTH -> call() ... -> chunk() chunk() ...
//
// Every way out closes the socket: an error, an abort, silence, destroy().
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { attemptsOf, type Login } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import { drained } from "../ports/drained.ts";
import { tlsTo, type LinkTls } from "../ports/link-tls.ts";
import { decodeReply } from "../resp/decode.ts";
import { encodeCommand } from "../resp/encode.ts";
import { RespError } from "../resp/limits.ts";
import { ReplyScanner } from "../resp/reply-scanner.ts";
import type { RespValue } from "../resp/value.ts";
import { NodeError, kindOfReply } from "./node-error.ts";

export type NodeAddress =
  | { readonly host: string; readonly port: number }
  /** Of a Unix socket. */
  | { readonly path: string };

export interface NodeSocketOptions {
  readonly clock: Clock;
  readonly credentials?: Login | undefined;
  /** Absent: the node is spoken to without TLS. */
  readonly tls?: LinkTls | undefined;
  /** Aborting it ends the connection with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** The connection is given up when no byte came for that long while one was awaited. */
  readonly silenceMsMax: number;
}

/** Bytes of one reply: beyond it the node is taken for hostile. RDBs and feeds are no replies. */
const REPLY_BYTES_MAX = 1024 * 1024 * 1024;
const LINE_BYTES_MAX = 1024;

/** Connects, and shows the password when there is one. Throws NodeError. */
export async function openNodeSocket(
  address: NodeAddress,
  options: NodeSocketOptions,
): Promise<NodeSocket> {
  const socket = new NodeSocket(address, options);
  const { credentials } = options;
  try {
    await socket.connected();
    if (credentials !== undefined) await logIn(socket, credentials);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function logIn(socket: NodeSocket, credentials: Login): Promise<void> {
  const { username } = credentials;
  const [password = "", fallback] = attemptsOf(credentials);
  try {
    await socket.call("AUTH", username, password);
  } catch (error) {
    if (fallback === undefined || !isDenied(error)) throw error;
    await socket.call("AUTH", username, fallback);
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof NodeError && error.kind === "denied";
}

export class NodeSocket {
  readonly #socket: Socket;
  readonly #options: NodeSocketOptions;
  readonly #scanner = new ReplyScanner();
  readonly #connected: Promise<void>;
  readonly #place: string;
  /** Taken from the socket and given back. */
  #unread: Buffer | undefined;
  #end: NodeError | undefined;
  #wake: () => void = () => undefined;
  /** The calls before, one after the other. */
  #calls: Promise<unknown> = Promise.resolve();
  #replyBytes = 0;

  constructor(address: NodeAddress, options: NodeSocketOptions) {
    this.#options = options;
    this.#place = "path" in address ? address.path : `${address.host}:${address.port}`;
    this.#socket = openSocket(address, options.tls);
    // Data stay in the socket until chunk() takes them.
    this.#socket.pause();
    this.#connected = this.#untilConnected(options.tls === undefined ? "connect" : "secureConnect");
    this.#connected.catch(() => undefined);
    this.#socket.on("readable", () => {
      this.#wake();
    });
    this.#socket.on("error", (error) => {
      this.#fail(new NodeError("closed", `${this.#place}: ${error.message}`, error));
    });
    this.#socket.on("end", () => {
      this.#fail(new NodeError("closed", `${this.#place} closed the connection`));
    });
    this.#socket.on("close", () => {
      this.#fail(new NodeError("closed", `the connection to ${this.#place} was closed`));
    });
    options.signal?.addEventListener("abort", this.#abort);
    if (options.signal?.aborted === true) this.#abort();
  }

  /** Why it is of no use any more; undefined while it is. */
  get failure(): NodeError | undefined {
    return this.#end;
  }

  /** Of this machine, as the node sees it; empty while the connection does not stand. */
  get localAddress(): string {
    return (this.#socket.localAddress ?? "").replace(/^::ffff:/, "");
  }

  get remoteAddress(): string {
    return (this.#socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  }

  /** Resolves when the connection stands. */
  connected(): Promise<void> {
    return this.#connected;
  }

  /** Sends a command at once and gives its reply in its turn; rejects with the node's error reply. */
  call(...words: readonly (Buffer | string)[]): Promise<RespValue> {
    if (this.#end === undefined) this.#socket.write(encodeCommand(words));
    return this.#awaited(words);
  }

  /**
   * From now on every chunk is given to `onChunk` as it arrives, and the end of the connection to `onEnd`, once. Nothing is
   * awaited, so nothing is allocated either; call(), line() and chunk() can't be used any more. All calls must be answered.
   */
  flow(onChunk: (chunk: Buffer) => void, onEnd: (error: NodeError) => void): void {
    this.#wake = () => {
      this.#wake = () => undefined;
      if (this.#end !== undefined) onEnd(this.#end);
    };
    if (this.#end !== undefined) this.#wake();
    this.#socket.removeAllListeners("readable");
    this.#socket.on("data", onChunk);
    this.#socket.resume();
  }

  #awaited(words: readonly (Buffer | string)[]): Promise<RespValue> {
    const reply = this.#calls.then(() => this.#reply(String(words[0])));
    this.#calls = reply.catch(() => undefined);
    return reply;
  }

  /** The next line without its end; nothing behind it is taken. */
  async line(): Promise<string> {
    let line = "";
    for (;;) {
      const chunk = await this.chunk();
      const end = chunk.indexOf(10);
      line += chunk.toString("latin1", 0, end === -1 ? chunk.length : end);
      if (line.length > LINE_BYTES_MAX) {
        throw this.#fail(new NodeError("protocol", `${this.#place} sent a line without an end`));
      }
      if (end === -1) continue;
      this.unread(chunk.subarray(end + 1));
      return line.trimEnd();
    }
  }

  /** The next bytes, at least one. Rejects when the connection is over, with why. */
  async chunk(): Promise<Buffer> {
    if (this.#unread !== undefined) {
      const taken = this.#unread;
      this.#unread = undefined;
      return taken;
    }
    for (;;) {
      const bytes = this.#socket.read() as Buffer | null;
      if (bytes !== null) return bytes;
      if (this.#end !== undefined) throw this.#end;
      await this.#untilReadable();
    }
  }

  /** Gives bytes back: the next chunk() begins with them. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#unread = this.#unread === undefined ? bytes : Buffer.concat([bytes, this.#unread]);
  }

  /** Writes without waiting for a reply; resolves when the socket can take more. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    if (this.#socket.write(bytes)) return;
    await drained(this.#socket);
  }

  destroy(): void {
    this.end(new NodeError("aborted", `the connection to ${this.#place} was ended`));
  }

  /** Closes it, for this reason unless there was one before. */
  end(why: NodeError): void {
    this.#fail(why);
  }

  readonly #abort = (): void => {
    const reason: unknown = this.#options.signal?.reason;
    const why = reason instanceof Error ? reason.message : "it was aborted";
    this.#fail(new NodeError("aborted", why, reason));
  };

  #fail(error: NodeError): NodeError {
    this.#end ??= error;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#socket.destroy();
    this.#wake();
    return this.#end;
  }

  async #untilConnected(event: "connect" | "secureConnect"): Promise<void> {
    const { clock, silenceMsMax } = this.#options;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(silenceMsMax, () => {
        const why = `${this.#place} did not take the connection within ${silenceMsMax} ms`;
        this.#fail(new NodeError("unreachable", why));
      });
      const done = (): void => {
        cancel();
        resolve();
      };
      this.#socket.once(event, done);
      this.#socket.once("close", done);
    });
    if (this.#end === undefined) return;
    // Whatever ended it before it stood: there was no connection.
    const { kind, message } = this.#end;
    throw kind === "aborted" ? this.#end : new NodeError("unreachable", message, this.#end.cause);
  }

  async #untilReadable(): Promise<void> {
    const { clock, silenceMsMax } = this.#options;
    const cancel = clock.after(silenceMsMax, () => {
      this.#fail(new NodeError("silent", `${this.#place} sent nothing for ${silenceMsMax} ms`));
    });
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    cancel();
  }

  async #reply(command: string): Promise<RespValue> {
    try {
      for (;;) {
        const raw = this.#scanner.next();
        if (raw !== undefined) {
          this.#replyBytes = 0;
          return this.#valueOf(raw, command);
        }
        const chunk = await this.chunk();
        this.#replyBytes += chunk.length;
        if (this.#replyBytes > REPLY_BYTES_MAX) throw new RespError("the reply is too long");
        this.#scanner.push(chunk);
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      throw this.#fail(new NodeError("protocol", `${this.#place}: ${error.message}`, error));
    }
  }

  #valueOf(raw: Buffer, command: string): RespValue {
    const value = decodeReply(raw);
    if (value.type !== "error") return value;
    throw new NodeError(kindOfReply(value.text), `${this.#place}: ${command}: ${value.text}`);
  }
}

/** A silent connection is asked after that time whether it still stands. */
const KEEP_ALIVE_MS = 15_000;

function openSocket(address: NodeAddress, tls: LinkTls | undefined): Socket {
  if ("path" in address) return connectPlain({ path: address.path });
  const { host, port } = address;
  const alive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, noDelay: true };
  if (tls === undefined) return connectPlain({ host, port, ...alive });
  const socket = connectTls({ ...tlsTo(host, tls), host, port });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}
