// fake-master.ts: plays the master of a replication for one node, so that the node takes an RDB of ours in two phases.
//
//   node: PING, AUTH, REPLCONF ...        -> +PONG, +OK
//   node: PSYNC                           -> +FULLRESYNC id offset, $length, all but the last bytes     phase 1: "ready"
//                                            a byte each ten seconds, so that the node does not give up
//   release()                             -> the last bytes, REPLCONF GETACK *                          phase 2
//   node: REPLCONF ACK offset                                                                           "loaded"
//
// Until its last byte the node has only a temporary file, and its data is what it was (repl-diskless-load disabled); so
// whatever fails before release() has changed nothing. A node that connects again begins anew before the release, and
// goes on without a full sync after it has loaded. All nodes of a partition get the same id and offset: when one of them
// is made master, the others continue with it.
// Only the node's address is served, and only with the replica's password when there is one: an RDB is all the data.
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Credentials } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import { drained } from "../ports/drained.ts";
import { encodeCommand } from "../resp/encode.ts";
import { RespError } from "../resp/limits.ts";
import { RequestSplitter } from "../resp/request-splitter.ts";
import { errorText } from "../core/error-text.ts";

export interface FakeMasterOptions {
  readonly clock: Clock;
  /** 40 hex digits, the same for all nodes of a partition. */
  readonly replicationId: string;
  readonly offset: number;
  readonly rdbBytes: number;
  /** The RDB from a position on; opened once per connection. */
  open(from: number): AsyncIterable<Buffer>;
  /** Where it listens: an address that the node reaches. */
  readonly host: string;
  /** The node's address; others are refused. */
  readonly nodeAddress: string;
  /** What the node shows its master; absent: none is asked for. */
  readonly credentials?: Credentials | undefined;
}

export type FakeMasterState =
  /** The node has not come, or is receiving. */
  | "sending"
  /** The node has all but the last bytes. */
  | "ready"
  | "released"
  /** The node has acknowledged that it holds the new data. */
  | "loaded"
  | "closed";

/** Held back until the release: enough for a byte each ten seconds over hours, and never the last of them. */
const TAIL_BYTES = 4096;
const TAIL_KEPT_BYTES = 64;
const KEEP_ALIVE_MS = 10_000;
const COMMAND_BYTES_MAX = 64 * 1024;
const GETACK = encodeCommand(["REPLCONF", "GETACK", "*"]);

export class FakeMaster {
  readonly #options: FakeMasterOptions;
  readonly #server: Server;
  readonly #watchers = new Set<() => void>();
  #connection: Connection | undefined;
  #state: FakeMasterState = "sending";
  #failure: string | undefined;
  #unreadable: Error | undefined;
  #brokenOff = 0;
  #tail: Buffer | undefined;
  #sentBehind = 0;

  private constructor(options: FakeMasterOptions) {
    this.#options = options;
    this.#server = createServer((socket) => {
      this.#take(socket);
    });
  }

  /** Listens on a free port. */
  static async listen(options: FakeMasterOptions): Promise<FakeMaster> {
    const master = new FakeMaster(options);
    await new Promise<void>((resolve, reject) => {
      master.#server.once("error", reject);
      master.#server.listen(0, options.host, resolve);
    });
    return master;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get state(): FakeMasterState {
    return this.#state;
  }

  /** Why the last connection ended, when one did. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The node's connection stands. */
  get isConnected(): boolean {
    return this.#connection?.isEnded === false;
  }

  /** Why the RDB could not be read, once it could not: the node would ask for it again and again. */
  get unreadable(): Error | undefined {
    return this.#unreadable;
  }

  /** How often a node that was being sent the RDB, or had it, has lost its connection. */
  get brokenOff(): number {
    return this.#brokenOff;
  }

  /** Bytes of the RDB that the node has been sent. */
  get sentBytes(): number {
    return this.#connection?.sentBytes ?? 0;
  }

  /** Called whenever the state may have changed; the returned function ends that. */
  onChange(task: () => void): () => void {
    this.#watchers.add(task);
    return () => void this.#watchers.delete(task);
  }

  /** Sends the last bytes. The state must be "ready": otherwise nothing is sent, and the answer is false. */
  release(): boolean {
    if (this.#state !== "ready" || this.#connection?.release(this.#lastBytes()) !== true) {
      return false;
    }
    this.#become("released");
    return true;
  }

  /**
   * What comes behind the RDB in the history, after the release; resolves when the node's connection takes more. false: the
   * node is gone, or not released.
   */
  async send(bytes: Buffer): Promise<boolean> {
    const isReleased = this.#state === "released" || this.#state === "loaded";
    if (!isReleased || this.#connection === undefined) return false;
    this.#sentBehind += bytes.length;
    return this.#connection.send(bytes);
  }

  /** The node's offset once it has applied all that was sent behind the RDB. */
  get endOffset(): number {
    return this.#options.offset + GETACK.length + this.#sentBehind;
  }

  close(): void {
    this.#connection?.end("closed");
    this.#server.close();
    this.#become("closed");
  }

  #lastBytes(): Buffer {
    return this.#tail ?? Buffer.alloc(0);
  }

  #become(state: FakeMasterState): void {
    if (this.#state === "closed") return;
    this.#state = state;
    for (const watcher of [...this.#watchers]) watcher();
  }

  #take(socket: Socket): void {
    socket.on("error", () => undefined);
    const from = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
    if (!isFromNode(from, this.#options.nodeAddress) || this.#state === "closed") {
      socket.destroy();
      return;
    }
    // The node has given the connection before this one up.
    this.#connection?.end("the node connected again");
    const connection = new Connection(socket, this.#options, {
      hasLoaded: () => this.#state === "loaded",
      isReleased: () => this.#state === "released" || this.#state === "loaded",
      onReady: (tail) => {
        this.#tail = tail;
        this.#become("ready");
      },
      onLoaded: () => {
        this.#become("loaded");
      },
      onUnreadable: (error) => {
        this.#unreadable ??= error;
      },
      onEnd: (why) => {
        if (connection.isSending && this.#state !== "closed") this.#brokenOff++;
        if (this.#connection !== connection) return;
        this.#failure = why;
        // What it had received is gone with the connection.
        if (this.#state === "ready") this.#become("sending");
        else this.#become(this.#state);
      },
    });
    this.#connection = connection;
  }
}

interface Owner {
  hasLoaded(): boolean;
  isReleased(): boolean;
  onReady(tail: Buffer): void;
  onLoaded(): void;
  onUnreadable(error: Error): void;
  onEnd(why: string): void;
}

/** One connection of the node. */
class Connection {
  sentBytes = 0;
  readonly #socket: Socket;
  readonly #options: FakeMasterOptions;
  readonly #owner: Owner;
  readonly #splitter = new RequestSplitter();
  #isKnown: boolean;
  #isSending = false;
  #tailSent = 0;
  #endKeepAlive: () => void = () => undefined;
  isEnded = false;

  constructor(socket: Socket, options: FakeMasterOptions, owner: Owner) {
    this.#socket = socket;
    this.#options = options;
    this.#owner = owner;
    this.#isKnown = options.credentials === undefined;
    this.#splitter.limits = { arrayLength: 64, bulkBytes: COMMAND_BYTES_MAX };
    socket.setNoDelay(true);
    socket.on("data", (chunk) => {
      this.#receive(chunk);
    });
    socket.on("close", () => {
      this.end("the node closed the connection");
    });
  }

  /** The node has been told that all comes, or has come. */
  get isSending(): boolean {
    return this.#isSending;
  }

  end(why: string): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#endKeepAlive();
    this.#socket.destroy();
    this.#owner.onEnd(why);
  }

  release(tail: Buffer): boolean {
    if (this.isEnded || this.#socket.destroyed) return false;
    this.#endKeepAlive();
    this.#socket.write(Buffer.concat([tail.subarray(this.#tailSent), GETACK]));
    this.sentBytes = this.#options.rdbBytes;
    return true;
  }

  async send(bytes: Buffer): Promise<boolean> {
    if (this.isEnded) return false;
    if (!this.#socket.write(bytes)) await drained(this.#socket);
    return !this.isEnded;
  }

  #receive(chunk: Buffer): void {
    this.#splitter.push(chunk);
    try {
      for (;;) {
        const request = this.#splitter.next();
        if (request === undefined || this.isEnded) return;
        this.#answer(request.args.map((arg) => arg.toString("latin1")));
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      this.end(`the node sent what is no command: ${error.message}`);
    }
  }

  #answer([name = "", ...args]: readonly string[]): void {
    switch (name.toUpperCase()) {
      case "PING":
        this.#socket.write("+PONG\r\n");
        return;
      case "AUTH":
        this.#isKnown = this.#isRight(args);
        this.#socket.write(
          this.#isKnown ? "+OK\r\n" : "-WRONGPASS invalid username or password\r\n",
        );
        return;
      case "REPLCONF":
        this.#replconf(args);
        return;
      case "PSYNC":
        if (!this.#isKnown) this.#socket.write("-NOAUTH Authentication required.\r\n");
        else this.#psync(args);
        return;
      default:
        this.#socket.write("-ERR unknown command\r\n");
    }
  }

  #isRight(args: readonly string[]): boolean {
    const { credentials } = this.#options;
    if (credentials === undefined) return true;
    const [username = "", password = ""] = args.length > 1 ? args : ["", args[0]];
    return isSame(username, credentials.username) && isSame(password, credentials.password);
  }

  #replconf([option = "", value = ""]: readonly string[]): void {
    if (option.toUpperCase() !== "ACK") {
      this.#socket.write("+OK\r\n");
      return;
    }
    // Only behind the whole RDB does the node's own offset begin at ours.
    if (this.#owner.isReleased() && Number(value) >= this.#options.offset) this.#owner.onLoaded();
  }

  #psync([id = "", from = ""]: readonly string[]): void {
    const { replicationId, offset } = this.#options;
    const position = Number(from) - 1;
    const known = position === offset || position === offset + GETACK.length;
    if (this.#owner.hasLoaded() && id === replicationId && known) {
      this.#socket.write(`+CONTINUE ${replicationId}\r\n`);
      return;
    }
    if (this.#owner.isReleased()) {
      this.end("the node asked for everything again after it was released");
      return;
    }
    if (this.#isSending) return;
    this.#isSending = true;
    this.#send().catch((error: unknown) => {
      this.#owner.onUnreadable(error instanceof Error ? error : new Error(String(error)));
      this.end(errorText(error));
    });
  }

  async #send(): Promise<void> {
    const { replicationId, offset, rdbBytes } = this.#options;
    this.#socket.write(`+FULLRESYNC ${replicationId} ${offset}\r\n$${rdbBytes}\r\n`);
    const headBytes = Math.max(0, rdbBytes - TAIL_BYTES);
    const tail: Buffer[] = [];
    let position = 0;
    for await (const chunk of this.#options.open(0)) {
      if (this.isEnded) return;
      const head = chunk.subarray(0, Math.max(0, headBytes - position));
      position += chunk.length;
      if (head.length < chunk.length) tail.push(Buffer.from(chunk.subarray(head.length)));
      this.sentBytes += head.length;
      if (head.length > 0 && !this.#socket.write(head)) await drained(this.#socket);
    }
    if (position !== rdbBytes) {
      throw new Error(`the RDB has ${position} bytes instead of ${rdbBytes}`);
    }
    await this.#flushed();
    const last = Buffer.concat(tail);
    this.#keepAlive(last);
    if (!this.isEnded) this.#owner.onReady(last);
  }

  /** What was written has left this process. */
  #flushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once("close", resolve);
      this.#socket.write("", () => {
        resolve();
      });
    });
  }

  #keepAlive(tail: Buffer): void {
    this.#endKeepAlive = this.#options.clock.after(KEEP_ALIVE_MS, () => {
      if (this.isEnded || this.#tailSent >= tail.length - TAIL_KEPT_BYTES) return;
      this.#socket.write(tail.subarray(this.#tailSent, this.#tailSent + 1));
      this.#tailSent++;
      this.#keepAlive(tail);
    });
  }
}

/** A node on this machine may come from any address of loopback: the system's choice, or the node's own bind-source-addr. */
function isFromNode(from: string, nodeAddress: string): boolean {
  return from === nodeAddress || (from.startsWith("127.") && nodeAddress.startsWith("127."));
}

/** A replication id that nobody has. */
export function newReplicationId(): string {
  return randomBytes(20).toString("hex");
}

function isSame(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}
