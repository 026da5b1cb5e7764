// node-connection.ts: one raw, pipelined connection to one redis-server.
//
//   HELLO 2, INFO, SELECT -> (the connection before it may still hold requests? CLIENT KILL) -> ready
//
// It carries bytes: which reply belongs to which request is the lane's to know, by order. It never reconnects; the lane
// opens another. RESP2, because the types of ioredis's commands are those of RESP2.
// A paused server executes what lies in its sockets when it wakes, even of connections that were closed meanwhile (seen).
// So a connection that broke with requests on the wire is ended at its node before anything is sent there again. Its id
// says which it was; the run id says whether that process still lives, for another one counts its ids anew.
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Credentials } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import { tlsTo, type LinkTls } from "../ports/link-tls.ts";
import { encodeCommand } from "../resp/encode.ts";
import { RespError } from "../resp/limits.ts";
import { ReplyScanner } from "../resp/reply-scanner.ts";
import { greetedBy, greetingOf, type ConnectionIdentity } from "../route/node-greeting.ts";

/** A node to speak to. */
export interface NodeTarget {
  /** For people. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Of a unix socket, in the place of host and port. */
  readonly path?: string;
  readonly db: number;
  readonly credentials: Credentials | undefined;
  /** Changes when its keys may lie in another order: another process, or master anew. */
  readonly incarnation: string;
}

export interface ConnectionEvents {
  /** The handshake is done: write. */
  onReady(): void;
  /** One whole reply, as it came; its bytes are the receiver's to keep. */
  onReply(raw: Buffer): void;
  /** Once, at the end, whoever ended it. */
  onClose(cause: string): void;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  /** Absent: the node is spoken to without TLS. */
  readonly tls?: LinkTls | undefined;
  /** Earlier connections to the same node, to be ended there before this one is ready. */
  readonly predecessors?: readonly ConnectionIdentity[] | undefined;
}

const ERROR = 45;
const COPIED_BYTES_MAX = 16 * 1024;

export class NodeConnection {
  readonly target: NodeTarget;
  isReady = false;
  /** Known from the handshake on. */
  identity: ConnectionIdentity | undefined;
  /** What its node called itself in the handshake. */
  isMaster = false;
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #scanner = new ReplyScanner();
  readonly #predecessors: readonly ConnectionIdentity[];
  readonly #greetings: Buffer[] = [];
  #greetingsMax: number;
  #isKilling = false;
  #cause = "it closed the connection";
  readonly #endConnectTimer: () => void;

  constructor(target: NodeTarget, options: ConnectionOptions, events: ConnectionEvents) {
    this.target = target;
    this.#events = events;
    this.#predecessors = options.predecessors ?? [];
    const { credentials, db } = target;
    const greeting = greetingOf({ protocol: 2, credentials, clientName: "twine-client", db });
    this.#greetingsMax = greeting.length;
    this.#socket = openSocket(target, options.tls);
    this.#socket.write(Buffer.concat(greeting));
    this.#endConnectTimer = options.clock.after(options.connectTimeoutMs, () => {
      this.destroy(`no answer within ${options.connectTimeoutMs} ms`);
    });
    this.#socket.on("data", (chunk) => {
      this.#receive(chunk);
    });
    this.#socket.on("end", () => {
      // It reads no more: what would be written now was never sent.
      this.isReady = false;
    });
    this.#socket.on("error", (error) => {
      this.#cause = error.message;
    });
    this.#socket.on("close", () => {
      this.isReady = false;
      this.#endConnectTimer();
      events.onClose(this.#cause);
    });
  }

  /** Whole commands; small ones leave in one piece, because a piece costs more than a copy. */
  write(commands: readonly Buffer[]): void {
    this.#socket.cork();
    let small: Buffer[] = [];
    for (const command of commands) {
      if (command.length <= COPIED_BYTES_MAX) {
        small.push(command);
        continue;
      }
      if (small.length > 0) this.#socket.write(Buffer.concat(small));
      small = [];
      this.#socket.write(command);
    }
    if (small.length > 0) this.#socket.write(Buffer.concat(small));
    this.#socket.uncork();
  }

  destroy(cause: string): void {
    this.#cause = cause;
    this.isReady = false;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#scanner.push(chunk);
    try {
      while (!this.#socket.destroyed) {
        const raw = this.#scanner.next();
        if (raw === undefined) return;
        if (this.isReady) this.#events.onReply(raw);
        else this.#shakeHands(raw);
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      this.destroy(error.message);
    }
  }

  #shakeHands(raw: Buffer): void {
    if (raw[0] === ERROR) {
      this.destroy(`it refuses the handshake: ${raw.toString("utf8", 1, raw.length - 2)}`);
      return;
    }
    this.#greetings.push(raw);
    if (this.#greetings.length < this.#greetingsMax) return;
    const { identity, isMaster } = greetedBy(this.#greetings);
    this.identity = identity;
    this.isMaster = isMaster;
    const { runId } = identity;
    const alive = this.#predecessors.filter((predecessor) => predecessor.runId === runId);
    if (alive.length > 0 && !this.#isKilling) {
      this.#isKilling = true;
      this.#greetingsMax += alive.length;
      this.write(alive.map(({ id }) => encodeCommand(["CLIENT", "KILL", "ID", String(id)])));
      return;
    }
    this.#endConnectTimer();
    this.isReady = true;
    this.#events.onReady();
  }
}

/** A silent connection is asked after that time whether it still stands: who waits or listens would never know. */
const KEEP_ALIVE_MS = 15_000;

function openSocket({ host, port, path }: NodeTarget, tls: LinkTls | undefined): Socket {
  if (path !== undefined) return connectPlain({ path });
  const alive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
  if (tls === undefined) return connectPlain({ host, port, noDelay: true, ...alive });
  const socket = connectTls({ ...tlsTo(host, tls), host, port });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}

export function isSame(a: NodeTarget, b: NodeTarget | undefined): boolean {
  return a.name === b?.name && a.host === b.host && a.port === b.port && a.db === b.db;
}

export function placeOf(target: NodeTarget): string {
  return `${target.host}:${target.port}`;
}
