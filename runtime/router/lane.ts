// lane.ts: the way to the master of one partition in one protocol: held requests, the connection, what is on the wire.
//
//   submit -> queue (held) -> in flight -> done(reply)
//               ^                |
//               |  not executed, or its connection broke and it may be sent twice (retry-unknown)
//               +----------------+
//
// Invariants: requests leave in the order they came, and go back in that order before anything newer; nothing is
// sent to a new master while replies of the old one may still come, because one of them may send its request back.
// After a node said that it executed nothing, one request at a time probes it until one is executed.
// With ack-replicas, a WAIT follows every batch with a write in it, and the batch's replies wait for its answer: reads
// too, since a read may have seen a write that nobody else holds yet.
import type { Protocol } from "../resp/encode.ts";
import { errorReply } from "../resp/encode.ts";
import { RequestSplitter } from "../resp/request-splitter.ts";
import { replicasHolding, underreplicated, waitCommand } from "../route/acknowledge.ts";
import { isError } from "../route/split.ts";
import { isIdempotent } from "../route/repeatable.ts";
import {
  BackendConnection,
  type BackendTarget,
  type ConnectionIdentity,
} from "./backend-connection.ts";
import type { LaneContext } from "./lane-context.ts";

/** Whoever waits for replies: requests of one that is gone are not sent any more. */
export interface Requester {
  readonly isGone: boolean;
}

export interface BackendRequest {
  readonly command: Buffer;
  /** It only reads: it may be sent again although its fate is unknown. */
  readonly isRead: boolean;
  readonly from: Requester;
  /** Called once; not at all when the one who waits is gone. */
  done(reply: Buffer): void;
}

interface Held extends BackendRequest {
  readonly sinceMs: number;
  /** Counted by the lane: the order in which requests came. */
  readonly order: number;
  /** It was on the wire of this node's connection when that broke. */
  unknownAt?: string;
}

/** On the wire: a request, or the WAIT that ends a batch. */
interface Sent {
  readonly held: Held | undefined;
  /** A WAIT follows, and the reply is kept until it is answered. */
  readonly isFenced: boolean;
}

/** Executed, and not yet known to be held by enough replicas. */
interface Unproved {
  readonly held: Held;
  readonly raw: Buffer;
}

/** How long replies of a node that is no longer master are waited for. */
const DRAIN_MS = 200;
const PROBE_EVERY_MS = 50;
const RECONNECT_MS_MAX = 500;

export class Lane {
  readonly partition: number;
  readonly #protocol: Protocol;
  readonly #context: LaneContext;
  #queue: Held[] = [];
  #inFlight: Sent[] = [];
  #unproved: Unproved[] = [];
  /** Proved not executed while later ones are still in flight. */
  #refused: Held[] = [];
  #connection: BackendConnection | undefined;
  /** By node: its connection that broke with requests on the wire. */
  readonly #broken = new Map<string, ConnectionIdentity>();
  #lastOrder = 0;
  #isProbing = false;
  #isClosed = false;
  #failures = 0;
  #problem = "";
  #endPause: (() => void) | undefined;
  #endDrain: (() => void) | undefined;
  #endExpiry: (() => void) | undefined;

  constructor(partition: number, protocol: Protocol, context: LaneContext) {
    this.partition = partition;
    this.#protocol = protocol;
    this.#context = context;
  }

  submit(request: BackendRequest): void {
    if (this.#isClosed) {
      request.done(errorReply("TWINEDOWN the router is closing"));
      return;
    }
    const held: Held = {
      command: request.command,
      isRead: request.isRead,
      from: request.from,
      done: (reply) => {
        request.done(reply);
      },
      sinceMs: this.#context.clock.nowMs(),
      order: ++this.#lastOrder,
    };
    this.#hold([held], "last");
    this.#pump();
    if (this.#context.heldBytes > this.#context.holdBytesMax && this.#queue.at(-1) === held) {
      this.#queue.pop();
      this.#release(held);
      held.done(errorReply(`TWINEDOWN ${this.#reason(held)}; hold-bytes is used up`));
    }
    this.#watchExpiry();
  }

  /** The view or its confirmation changed. */
  viewChanged(): void {
    this.#endPause?.();
    this.#endPause = undefined;
    this.#pump();
  }

  close(): void {
    this.#isClosed = true;
    for (const end of [this.#endPause, this.#endDrain, this.#endExpiry]) end?.();
    this.#connection?.destroy("the router is closing");
    const rest = [...this.#refused, ...this.#queue];
    this.#queue = [];
    this.#refused = [];
    for (const held of rest) {
      this.#release(held);
      held.done(this.#giveUp(held, "the router is closing"));
    }
  }

  #pump(): void {
    if (this.#isClosed) return;
    const target = this.#context.masterOf(this.partition);
    const connection = this.#connection;
    if (connection !== undefined && !isSame(connection.target, target)) {
      this.#leave(connection);
      return;
    }
    this.#endDrain?.();
    this.#endDrain = undefined;
    if (target === undefined || this.#endPause !== undefined || this.#queue.length === 0) return;
    if (connection === undefined) this.#open(target);
    else if (connection.isReady && this.#refused.length === 0) this.#sendAll(connection);
  }

  #sendAll(connection: BackendConnection): void {
    const isConfirmed = this.#context.isConfirmed();
    const kept: Held[] = [];
    // While writes are held, a client's reads must not overtake its own writes; other clients' reads go on.
    const waiting = new Set<Requester>();
    const batch: Held[] = [];
    for (const held of this.#queue) {
      if (held.from.isGone) {
        this.#release(held);
        continue;
      }
      const mayGo = isConfirmed || (held.isRead && !waiting.has(held.from));
      if (!mayGo || (this.#isProbing && this.#inFlight.length + batch.length > 0)) {
        waiting.add(held.from);
        kept.push(held);
        continue;
      }
      this.#release(held);
      batch.push(held);
      connection.send(held.command);
    }
    this.#queue = kept;
    const { ackReplicas, ackTimeoutMs } = this.#context;
    const isFenced = ackReplicas > 0 && batch.some(({ isRead }) => !isRead);
    for (const held of batch) this.#inFlight.push({ held, isFenced });
    if (!isFenced) return;
    this.#inFlight.push({ held: undefined, isFenced });
    connection.send(waitCommand(ackReplicas, ackTimeoutMs));
  }

  #open(target: BackendTarget): void {
    const connection = new BackendConnection(
      target,
      {
        protocol: this.#protocol,
        credentials: this.#context.credentials,
        clock: this.#context.clock,
        predecessor: this.#broken.get(placeOf(target)),
      },
      {
        onReady: () => {
          this.#broken.delete(placeOf(target));
          this.#failures = 0;
          this.#problem = "";
          this.#pump();
        },
        onReply: (raw) => {
          this.#receive(raw);
        },
        onClose: (cause) => {
          this.#closed(connection, cause);
        },
      },
    );
    this.#connection = connection;
  }

  #receive(raw: Buffer): void {
    const sent = this.#inFlight.shift();
    if (sent === undefined) {
      this.#connection?.destroy("it sent a reply that nobody asked for");
      return;
    }
    const { held } = sent;
    if (held === undefined) {
      this.#prove(replicasHolding(raw));
    } else if (isNotExecuted(raw)) {
      this.#problem = raw.toString("utf8", 1, raw.length - 2);
      this.#refused.push(held);
    } else {
      this.#isProbing &&= this.#refused.length > 0;
      if (sent.isFenced) this.#unproved.push({ held, raw });
      else held.done(raw);
    }
    if (this.#inFlight.length > 0) return;
    if (this.#refused.length > 0) {
      this.#hold(this.#refused, "first");
      this.#refused = [];
      this.#isProbing = true;
      this.#pause(PROBE_EVERY_MS);
      this.#watchExpiry();
    }
    this.#pump();
  }

  /** The WAIT of a batch was answered: its replies go out, those of writes that too few replicas hold as an error. */
  #prove(count: number): void {
    const { ackReplicas } = this.#context;
    const proved = this.#unproved;
    this.#unproved = [];
    for (const { held, raw } of proved) {
      const isHeld = count >= ackReplicas || held.isRead || isError(raw);
      held.done(isHeld ? raw : underreplicated(count, ackReplicas));
    }
  }

  #closed(connection: BackendConnection, cause: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#problem = cause;
    this.#endDrain?.();
    this.#endDrain = undefined;
    const sent = this.#inFlight.flatMap(({ held }) => (held === undefined ? [] : [held]));
    const unknown = [...this.#unproved.map(({ held }) => held), ...sent];
    this.#inFlight = [];
    this.#unproved = [];
    if (unknown.length > 0 && connection.identity !== undefined) {
      this.#broken.set(placeOf(connection.target), connection.identity);
    }
    const again = [...this.#refused];
    this.#refused = [];
    for (const held of unknown) {
      held.unknownAt = connection.target.name;
      if (this.#mayRepeat(held)) again.push(held);
      else held.done(this.#giveUp(held, cause));
    }
    this.#hold(
      again.sort((a, b) => a.order - b.order),
      "first",
    );
    if (this.#isClosed) {
      this.close();
      return;
    }
    // The first time at once: a connection may break for reasons of its own. Then with growing patience.
    this.#failures++;
    if (this.#failures > 1) this.#pause(Math.min(20 * 2 ** (this.#failures - 2), RECONNECT_MS_MAX));
    this.#watchExpiry();
    this.#pump();
  }

  #mayRepeat(held: Held): boolean {
    if (held.isRead) return true;
    if (this.#context.retryUnknown === "reads") return false;
    const splitter = new RequestSplitter();
    splitter.push(held.command);
    const request = splitter.next();
    return request !== undefined && isIdempotent(request.args);
  }

  /** A write that was on the wire once may have been executed, whatever stops it now. */
  #giveUp(held: Held, why: string): Buffer {
    if (held.unknownAt === undefined || held.isRead) return errorReply(`TWINEDOWN ${why}`);
    return errorReply(
      `UNCERTAIN ${held.unknownAt} of partition ${this.partition} gave no reply, ` +
        `the command may have been executed: ${why}`,
    );
  }

  /** Another node is master, or none: what is on the wire is waited for a moment, then given up. */
  #leave(connection: BackendConnection): void {
    if (this.#inFlight.length === 0) {
      this.#failures = 0;
      connection.destroy("it is no longer master");
      return;
    }
    this.#endDrain ??= this.#context.clock.after(DRAIN_MS, () => {
      this.#endDrain = undefined;
      this.#failures = 0;
      connection.destroy("it is no longer master and silent");
    });
  }

  #pause(delayMs: number): void {
    this.#endPause?.();
    this.#endPause = this.#context.clock.after(delayMs, () => {
      this.#endPause = undefined;
      this.#pump();
    });
  }

  #hold(requests: readonly Held[], where: "first" | "last"): void {
    for (const held of requests) this.#context.heldBytes += held.command.length;
    if (where === "last") {
      this.#queue.push(...requests);
      return;
    }
    this.#queue = [...requests, ...this.#queue];
    // Those that come back are older than those that the timer was set for.
    this.#endExpiry?.();
    this.#endExpiry = undefined;
  }

  #release(held: Held): void {
    this.#context.heldBytes -= held.command.length;
  }

  #watchExpiry(): void {
    const [first] = this.#queue;
    if (first === undefined || this.#endExpiry !== undefined || this.#isClosed) return;
    const { clock, holdForMs } = this.#context;
    const leftMs = Math.max(first.sinceMs + holdForMs - clock.nowMs(), 0);
    this.#endExpiry = clock.after(leftMs, () => {
      this.#endExpiry = undefined;
      const nowMs = clock.nowMs();
      const isOver = (held: Held): boolean => held.sinceMs + holdForMs <= nowMs;
      const over = this.#queue.filter(isOver);
      this.#queue = this.#queue.filter((held) => !isOver(held));
      for (const held of over) {
        this.#release(held);
        held.done(this.#giveUp(held, this.#reason(held)));
      }
      this.#watchExpiry();
    });
  }

  #reason(held: BackendRequest): string {
    const target = this.#context.masterOf(this.partition);
    if (target === undefined) return `partition ${this.partition} has no master`;
    if (this.#problem !== "") {
      return `partition ${this.partition} can't be served by ${target.name}: ${this.#problem}`;
    }
    if (!held.isRead && !this.#context.isConfirmed()) {
      return `partition ${this.partition}: no majority of the status nodes confirms its master`;
    }
    return `partition ${this.partition}: its master ${target.name} does not answer`;
  }
}

function isSame(a: BackendTarget, b: BackendTarget | undefined): boolean {
  return a.name === b?.name && a.host === b.host && a.port === b.port && a.db === b.db;
}

function placeOf(target: BackendTarget): string {
  return `${target.host}:${target.port}`;
}

/** These three errors come instead of the command's execution, never after it. */
function isNotExecuted(raw: Buffer): boolean {
  if (raw[0] !== 45) return false;
  const text = raw.toString("latin1", 1, 12);
  return /^(READONLY|MASTERDOWN|LOADING) /.test(text);
}
