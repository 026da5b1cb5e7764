// backend-connection.ts: one raw, pipelined connection to one redis-server.
// It carries bytes and counts nothing but its own handshake: which reply belongs to which request is the lane's to
// know, by order. It never reconnects; the lane opens another.
//
//   HELLO, SELECT, INFO -> (the connection before it may still hold requests? CLIENT KILL) -> ready
//
// A paused server executes what lies in its sockets when it wakes, even of connections that were closed meanwhile (seen).
// So a connection that broke with requests on the wire is ended at its node before anything is sent there again. Its id
// says which it was; the run id says whether that process still lives, for another one counts its ids anew.
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Credentials } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import { tlsTo, type LinkTls } from "../../ports/link-tls.ts";
import { encodeCommand, type Protocol } from "../../resp/encode.ts";
import { RespError } from "../../resp/limits.ts";
import { ReplyScanner } from "../../resp/reply-scanner.ts";
import { greetedBy, greetingOf, type ConnectionIdentity } from "../../route/node-greeting.ts";
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

/** Where it listens: the same process, whatever its name. */
export function placeOf(target: BackendTarget): string {
  return `${target.host}:${target.port}`;
}

export interface BackendEvents {
  /** The handshake is done: send. */
  onReady(): void;
  /** One whole reply bytes[start, end), as it came; true only during the call. */
  onReply(bytes: Buffer, start: number, end: number): void;
  /** The same of a push, which belongs to no request; without it pushes are dropped. */
  onPush?(bytes: Buffer, start: number, end: number): void;
  /** Once, at the end, whoever ended it. */
  onClose(cause: string): void;
}

export interface BackendOptions {
  readonly protocol: Protocol;
  readonly credentials: Credentials | undefined;
  /** Absent: the node is spoken to without TLS. */
  readonly tls?: LinkTls | undefined;
  readonly clock: Clock;
  /** An earlier connection to the same node, to be ended there before this one is ready. */
  readonly predecessor?: ConnectionIdentity | undefined;
  /** Where its bytes and its end are counted. */
  readonly counters?: NodeCounters;
}

const CONNECT_TIMEOUT_MS = 1000;
const PUSH = 62;
const ERROR = 45;
/** All connections read into the same memory, one after the other: what is not used up at once is copied, and goes before
    the next chunk, where there is room for it. */
const ROOM_BYTES = 64 * 1024;
const RECEIVED = Buffer.allocUnsafeSlow(ROOM_BYTES + 256 * 1024);

export class BackendConnection {
  readonly target: BackendTarget;
  isReady = false;
  /** Known from the handshake on. */
  identity: ConnectionIdentity | undefined;
  /** What its node called itself in the handshake. */
  isMaster = false;
  readonly #socket: Socket;
  readonly #events: BackendEvents;
  readonly #scanner = new ReplyScanner();
  readonly #predecessor: ConnectionIdentity | undefined;
  readonly #greetings: Buffer[] = [];
  #greetingsMax: number;
  #isKilling = false;
  #cause = "it closed the connection";
  #end: ConnectionEnd = "eof";
  readonly #counters: NodeCounters;
  /** It was ready once. */
  #isOpened = false;
  readonly #endConnectTimer: () => void;

  constructor(target: BackendTarget, options: BackendOptions, events: BackendEvents) {
    this.target = target;
    this.#events = events;
    this.#counters = options.counters ?? noCounters(0);
    const { protocol, credentials } = options;
    const { db } = target;
    const greeting = greetingOf({ protocol, credentials, clientName: "twine-router", db });
    this.#predecessor = options.predecessor;
    this.#greetingsMax = greeting.length;
    this.#socket = open(target, options.tls, (count) => {
      if (this.isReady) this.#counters.responseBytes += count;
      this.#receive(count);
      return true;
    });
    this.#socket.write(Buffer.concat(greeting));
    this.#endConnectTimer = options.clock.after(CONNECT_TIMEOUT_MS, () => {
      this.destroy("no answer within a second", "timeout");
    });
    this.#socket.on("error", (error) => {
      this.#cause = error.message;
      this.#end = "error";
    });
    this.#socket.on("close", () => {
      connectionEnded(this.#counters, this.#end, this.#isOpened);
      this.isReady = false;
      this.#endConnectTimer();
      events.onClose(this.#cause);
    });
  }

  /** Writes whole commands, at once. The bytes must stay as they are until their replies have come. */
  write(commands: Buffer): void {
    this.#counters.requestBytes += commands.length;
    this.#socket.write(commands);
  }

  /** Several writes between these two are one system call. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  destroy(cause: string, end: ConnectionEnd = "ours"): void {
    this.#cause = cause;
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
      scanner.letGo();
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

/** A socket that reads into RECEIVED and then calls `receive`. */
function open(
  { host, port }: BackendTarget,
  tls: LinkTls | undefined,
  receive: (count: number) => boolean,
): Socket {
  const onread = { buffer: RECEIVED.subarray(ROOM_BYTES), callback: receive };
  if (tls === undefined) {
    return connectPlain({ host, port, noDelay: true, keepAlive: true, onread });
  }
  const secured = { ...tlsTo(host, tls), host, port, onread };
  const socket = connectTls(secured);
  socket.setNoDelay(true);
  socket.setKeepAlive(true);
  return socket;
}
