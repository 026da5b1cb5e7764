// backend-connection.ts: one raw, pipelined connection to one redis-server.
// It transports bytes; only the replies to its handshake are its own. The pipeline matches replies to requests by their order.
// It never reconnects; the pipeline opens another connection.
//
//   HELLO, SELECT, INFO -> (the connection before it may still hold requests? CLIENT KILL) -> ready
//
// A paused server executes the bytes in its sockets when it wakes, even of connections that were closed meanwhile (seen). So
// when a connection broke with requests on the wire, the next one ends it by CLIENT KILL ID before it sends anything. The
// run id shows whether the same process still runs: a restarted one counts client ids anew.
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { otherCredentials, type Credentials } from "../../core/credentials.ts";
import {
  FailureError,
  failureKindOf,
  failureKindOfWords,
  type FailureKind,
} from "../../core/failure.ts";
import type { Clock } from "../../ports/clock.ts";
import { tlsTo, type LinkTls } from "../../ports/link-tls.ts";
import { encodeCommand, type Protocol } from "../../resp/encode.ts";
import { RespError } from "../../resp/limits.ts";
import { ReplyScanner } from "../../resp/reply-scanner.ts";
import {
  greetedBy,
  greetingOf,
  type ConnectionIdentity,
} from "../../route/session/node-greeting.ts";
import {
  connectionEnded,
  connectionOpened,
  noCounters,
  type ConnectionEnd,
  type NodeCounters,
} from "../stats/counters.ts";

export interface BackendTarget {
  /** The node's name, for errors. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly db: number;
}

export function isSameTarget(a: BackendTarget, b: BackendTarget | undefined): boolean {
  return a.name === b?.name && a.host === b.host && a.port === b.port && a.db === b.db;
}

/** `host:port`: nodes with the same address are the same process, whatever their names. */
export function addressOf(target: BackendTarget): string {
  return `${target.host}:${target.port}`;
}

export interface BackendEvents {
  /** Called when the handshake is done and commands may be written. */
  onReady(): void;
  /** One whole reply bytes[start, end), unchanged; valid only during the call. */
  onReply(bytes: Buffer, start: number, end: number): void;
  /** The same for a push; without it pushes are dropped. */
  onPush?(bytes: Buffer, start: number, end: number): void;
  /** Called once, when the connection has ended for whatever reason. */
  onClose(cause: FailureError): void;
}

export interface BackendOptions {
  readonly protocol: Protocol;
  readonly credentials: Credentials | undefined;
  /** Absent: no TLS. */
  readonly tls?: LinkTls | undefined;
  readonly clock: Clock;
  /** The name in CLIENT LIST. */
  readonly clientName: string;
  readonly connectTimeoutMs?: number | undefined;
  /** 0: no limit. */
  readonly keepaliveMs?: number;
  /** An earlier connection to the same node, ended by CLIENT KILL before this one is ready. */
  readonly predecessor?: ConnectionIdentity | undefined;
  /** The node's counters for bytes and closed connections. */
  readonly counters?: NodeCounters;
}

/** The same as Redis's default. */
const KEEPALIVE_MS = 300_000;
const CONNECT_TIMEOUT_MS = 1000;
const PUSH = 62;
const ERROR = 45;
/** All connections read into this memory, one at a time. An incomplete reply at the end of a chunk is copied, and put before
    the next chunk where there is room. */
const ROOM_BYTES = 64 * 1024;
const RECEIVED = Buffer.allocUnsafeSlow(ROOM_BYTES + 256 * 1024);

export class BackendConnection {
  readonly target: BackendTarget;
  isReady = false;
  /** Set by the handshake. */
  identity: ConnectionIdentity | undefined;
  /** Whether the node reported itself as master in the handshake. */
  isMaster = false;
  readonly #socket: Socket;
  readonly #events: BackendEvents;
  readonly #scanner = new ReplyScanner();
  readonly #predecessor: ConnectionIdentity | undefined;
  readonly #greetings: Buffer[] = [];
  /** The handshake with the other password, while the password is being rotated. */
  #otherGreeting: readonly Buffer[] | undefined;
  /** Outstanding replies to a refused handshake. */
  #refusedCount = 0;
  #greetingsMax: number;
  #isKilling = false;
  #cause = new FailureError("closed", "it closed the connection");
  #end: ConnectionEnd = "eof";
  readonly #counters: NodeCounters;
  /** onReady was called. */
  #isOpened = false;
  readonly #endConnectTimer: () => void;

  constructor(target: BackendTarget, options: BackendOptions, events: BackendEvents) {
    this.target = target;
    this.#events = events;
    this.#counters = options.counters ?? noCounters(0);
    const { protocol, credentials, clientName, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
    const { db } = target;
    const greeting = greetingOf({ protocol, credentials, clientName, db });
    const other = otherCredentials(credentials);
    this.#otherGreeting = other && greetingOf({ protocol, credentials: other, clientName, db });
    this.#predecessor = options.predecessor;
    this.#greetingsMax = greeting.length;
    this.#socket = open(target, options, (count) => {
      if (this.isReady) this.#counters.responseBytes += count;
      this.#receive(count);
      return true;
    });
    this.#socket.write(Buffer.concat(greeting));
    this.#endConnectTimer = options.clock.after(connectTimeoutMs, () => {
      this.destroy(`no answer within ${connectTimeoutMs} ms`, "timeout", "no-answer");
    });
    this.#socket.on("error", (error) => {
      this.#cause = new FailureError(failureKindOf(error), error.message, { cause: error });
      this.#end = "error";
    });
    this.#socket.on("close", () => {
      connectionEnded(this.#counters, this.#end, this.#isOpened);
      this.isReady = false;
      this.#endConnectTimer();
      events.onClose(this.#cause);
    });
  }

  /** Writes whole commands at once. The bytes must not be changed until their replies have arrived. */
  write(commands: Buffer): void {
    this.#counters.requestBytes += commands.length;
    this.#socket.write(commands);
  }

  /** Writes between cork() and uncork() are one system call. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  destroy(cause: string, end: ConnectionEnd = "ours", kind: FailureKind = "closed"): void {
    this.#cause = new FailureError(kind, cause);
    this.#end = end;
    this.isReady = false;
    this.#socket.destroy();
  }

  #receive(count: number): void {
    const scanner = this.#scanner;
    scanner.pushBehindRoom(RECEIVED, ROOM_BYTES, count);
    try {
      while (!this.#socket.destroyed && scanner.advance()) {
        if (scanner.source[scanner.start] === PUSH) {
          this.#events.onPush?.(scanner.source, scanner.start, scanner.end);
        } else if (this.isReady) this.#events.onReply(scanner.source, scanner.start, scanner.end);
        else this.#shakeHands(scanner.source.subarray(scanner.start, scanner.end));
      }
      scanner.release();
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      this.destroy(error.message, "ours", "malformed");
    }
  }

  #shakeHands(raw: Buffer): void {
    if (this.#refusedCount > 0) {
      this.#refusedCount--;
      return;
    }
    if (raw[0] === ERROR) {
      const words = raw.toString("utf8", 1, raw.length - 2);
      const other = this.#otherGreeting;
      if (other !== undefined && failureKindOfWords(words) === "login") {
        this.#otherGreeting = undefined;
        this.#refusedCount = other.length - 1;
        this.write(Buffer.concat(other));
        return;
      }
      this.destroy(`it refuses the handshake: ${words}`, "ours", failureKindOfWords(words));
      return;
    }
    this.#greetings.push(Buffer.from(raw));
    if (this.#greetings.length < this.#greetingsMax) return;
    const { identity, isMaster } = greetedBy(this.#greetings);
    this.identity = identity;
    this.isMaster = isMaster;
    const predecessor = this.#predecessor;
    if (predecessor?.runId === identity.runId && !this.#isKilling) {
      this.#isKilling = true;
      this.#greetingsMax++;
      this.write(encodeCommand(["CLIENT", "KILL", "ID", String(predecessor.id)]));
      return;
    }
    this.#endConnectTimer();
    this.isReady = true;
    this.#isOpened = true;
    connectionOpened(this.#counters);
    this.#events.onReady();
  }
}

/** Connects a socket that reads into RECEIVED and then calls `receive`. */
function open(
  { host, port }: BackendTarget,
  { tls, keepaliveMs = KEEPALIVE_MS }: BackendOptions,
  receive: (count: number) => boolean,
): Socket {
  const onread = { buffer: RECEIVED.subarray(ROOM_BYTES), callback: receive };
  if (tls === undefined) {
    const alive = { keepAlive: keepaliveMs > 0, keepAliveInitialDelay: keepaliveMs };
    return connectPlain({ host, port, noDelay: true, ...alive, onread });
  }
  const secured = { ...tlsTo(host, tls), host, port, onread };
  const socket = connectTls(secured);
  socket.setNoDelay(true);
  socket.setKeepAlive(keepaliveMs > 0, keepaliveMs);
  return socket;
}
