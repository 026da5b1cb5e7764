// lane.ts: the way to one node of one partition in one protocol: held requests, the connection, what is on the wire.
//
//   submit -> in flight -> sink.take(reply)          the hot way, while the lane is open
//   submit -> queue (held) -> in flight -> ...       while it is not
//               ^                |
//               |  not executed, or its connection broke and it may be sent twice (retry-unknown)
//               +----------------+
//
// Invariants: requests leave in the order they came, and go back in that order before anything newer; nothing is
// sent to a new master while replies of the old one may still come, because one of them may send its request back.
// After a node said that it executed nothing, or that it is no master (it may become one within a pipeline), one request
// at a time probes it until one is executed. What it reads behind a refusal counts as refused: the write is not in it.
// With ack-replicas, a WAIT follows every batch with a write in it, and the batch's replies wait for its answer: reads
// too, since a read may have seen a write that nobody else holds yet.
// A lane to a replica (read-from replica) holds nothing: whatever it can't send or was refused, its fallback takes.
import { replicasHolding, underreplicated, waitCommand } from "../../route/acknowledge.ts";
import type { ConnectionIdentity } from "../../route/node-greeting.ts";
import { isError } from "../../route/split.ts";
import {
  BackendConnection,
  isSameTarget,
  placeOf,
  type BackendTarget,
} from "./backend-connection.ts";
import { isNotExecuted, lostReply, mayRepeat, overtaken, whyUnserved } from "./fate.ts";
import { HeldQueue } from "./held-queue.ts";
import { FENCE, FENCED, InFlight, READ, type Held } from "./in-flight.ts";
import type { LaneContext, LaneOptions } from "./lane-context.ts";
import { laneQueues, type LaneQueues } from "./lane-queues.ts";
import type { ReplySink } from "./reply-sink.ts";
import { noCounters } from "../stats/counters.ts";

/** Executed, and not yet known to be held by enough replicas. */
interface Unproved {
  readonly held: Held;
  readonly raw: Buffer;
}

const MINUS = 45;
/** How long replies of a node that is no longer the lane's are waited for. */
const DRAIN_MS = 200;
const PROBE_EVERY_MS = 50;
const RECONNECT_MS_MAX = 500;
/** A lane with a fallback tries its own node again after this. */
const FALLBACK_MS = 500;
/** A connection that says nothing for that long, or for hold-for if that is longer, while requests are on it is given up. */
const SILENT_MS = 30_000;

export class Lane {
  readonly partition: number;
  readonly #options: LaneOptions;
  readonly #context: LaneContext;
  readonly #wire = new InFlight();
  readonly #queue: HeldQueue;
  /** Proved not executed while later ones are still in flight. */
  #refused: Held[] = [];
  #unproved: Unproved[] = [];
  /** By node: its connection that broke with requests on the wire. */
  readonly #broken = new Map<string, ConnectionIdentity>();
  #target: BackendTarget | undefined;
  #connection: BackendConnection | undefined;
  /** Of the node that the connection leads to, or led to last. */
  #counters = noCounters(0);
  /** Nothing stands between a new request and the wire. */
  #isOpen = false;
  #isDue = false;
  #lastOrder = 0;
  #isProbing = false;
  #isClosed = false;
  #failures = 0;
  #problem = "";
  #heardAtMs = 0;
  #endPause: (() => void) | undefined;
  #endDrain: (() => void) | undefined;
  #endSilence: (() => void) | undefined;

  constructor(options: LaneOptions, context: LaneContext) {
    this.partition = options.partition;
    this.#options = options;
    this.#context = context;
    this.#target = options.target();
    this.#queue = new HeldQueue(context, (held, why) => {
      const [target, problem] = [this.#target, this.#problem];
      const mayGo = held.isRead || context.isConfirmed();
      const state = { partition: this.partition, target, problem, mayGo };
      this.#answer(held, this.#lost(held, why ?? whyUnserved(state)));
    });
  }

  /** The request bytes[start, end) of `sink`, which will know its reply by `tag`. The bytes are copied. */
  submit(
    sink: ReplySink,
    tag: number,
    bytes: Buffer,
    start: number,
    end: number,
    isRead: boolean,
  ): void {
    const { nowMs } = this.#context.turn;
    const order = ++this.#lastOrder;
    if (!isRead) sink.owner.written?.note(this.partition);
    if (this.#isOpen) {
      this.#wire.put(sink, tag, bytes, start, end, isRead ? READ : 0, nowMs, order);
      if (!this.#isDue) this.#context.turn.addLane(this);
      this.#isDue = true;
      return;
    }
    const command = Buffer.from(bytes.subarray(start, end));
    this.adopt([{ sink, tag, command, isRead, sinceMs: nowMs, order, unknownAt: undefined }]);
  }

  /** Takes requests that are not to be sent at once. Those of another lane keep the moment since which they wait. */
  adopt(requests: readonly Held[]): void {
    const { fallback } = this.#options;
    if (fallback !== undefined) {
      fallback.adopt(requests);
      this.#pump();
      return;
    }
    for (const request of requests) {
      if (this.#isClosed) {
        this.#answer(request, this.#lost(request, "the router is closing"));
        continue;
      }
      const held = { ...request, order: ++this.#lastOrder };
      this.#queue.addLast(held);
      this.#pump();
      this.#queue.refuseBeyondMax(held);
    }
    this.#queue.watchExpiry();
  }

  queues(): LaneQueues {
    const refusedBytes = this.#refused.map(({ command }) => command.length);
    const { partition } = this;
    const node = this.#connection?.target.name;
    return laneQueues({ node, partition, queue: this.#queue, refusedBytes, wire: this.#wire });
  }

  /** The view or its confirmation changed. */
  viewChanged(): void {
    this.#target = this.#options.target();
    this.#endPause?.();
    this.#endPause = undefined;
    this.#pump();
  }

  close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
    for (const end of [this.#endPause, this.#endDrain, this.#endSilence]) end?.();
    this.#connection?.destroy("the router is closing");
    this.#queue.addFirst(this.#refused);
    this.#refused = [];
    this.#queue.close("the router is closing");
  }

  /** At the turn's end: what was gathered is written. */
  flush(): void {
    this.#isDue = false;
    const connection = this.#connection;
    if (connection?.isReady !== true || this.#wire.unsentCount === 0) return;
    // Asked at the moment of writing: this process may have been paused since the requests came.
    const mayGo = this.#context.isConfirmed() || !this.#wire.hasUnsentWrite();
    if (!this.#isOpen || !mayGo) {
      this.#putBack(this.#wire.takeBackUnsent());
      this.#pump();
      return;
    }
    this.#write(connection);
  }

  #write(connection: BackendConnection): void {
    const { ackReplicas, ackTimeoutMs, turn } = this.#context;
    if (ackReplicas > 0) this.#wire.fence(waitCommand(ackReplicas, ackTimeoutMs), turn.nowMs);
    if (this.#wire.sentCount === 0) this.#heardAtMs = turn.nowMs;
    this.#endSilence ??= this.#watchSilence(this.#silentMsMax);
    this.#counters.requests += this.#wire.unsentCount;
    this.#wire.drainTo(connection);
  }

  #pump(): void {
    if (this.#isClosed) return;
    const connection = this.#connection;
    if (connection !== undefined && !isSameTarget(connection.target, this.#target)) {
      this.#isOpen = false;
      this.#leave(connection);
      return;
    }
    this.#endDrain?.();
    this.#endDrain = undefined;
    const mayGo =
      this.#target !== undefined && this.#endPause === undefined && this.#refused.length === 0;
    if (mayGo && connection === undefined && this.#isWanted) this.#open(this.#target);
    if (mayGo && connection?.isReady === true) this.#sendHeld(connection);
    this.#isOpen =
      mayGo &&
      this.#connection?.isReady === true &&
      !this.#isProbing &&
      this.#queue.isEmpty &&
      this.#context.isConfirmed();
  }

  get #isWanted(): boolean {
    return !this.#queue.isEmpty || this.#options.fallback !== undefined;
  }

  #sendHeld(connection: BackendConnection): void {
    if (this.#queue.isEmpty) return;
    const isConfirmed = this.#context.isConfirmed();
    // While writes are held, a client's reads must not overtake its own writes; other clients' reads go on.
    const waiting = new Set<object>();
    this.#queue.release((held) => {
      const mayGo = isConfirmed || (held.isRead && !waiting.has(held.sink.owner));
      if (!mayGo || (this.#isProbing && this.#wire.count > 0)) {
        waiting.add(held.sink.owner);
        return false;
      }
      this.#wire.putHeld(held);
      return true;
    });
    if (this.#wire.unsentCount > 0) this.#write(connection);
  }

  #open(target: BackendTarget | undefined): void {
    if (target === undefined) return;
    this.#counters = this.#context.stats.node(target.name, this.partition);
    const connection = new BackendConnection(
      target,
      {
        protocol: this.#options.protocol,
        credentials: this.#context.credentials,
        tls: this.#context.tls,
        clock: this.#context.clock,
        predecessor: this.#broken.get(placeOf(target)),
        counters: this.#counters,
      },
      {
        onReady: () => {
          this.#broken.delete(placeOf(target));
          this.#failures = 0;
          this.#problem = "";
          this.#isProbing ||= !connection.isMaster && this.#options.fallback === undefined;
          this.#pump();
        },
        onReply: (bytes, start, end) => {
          this.#receive(bytes, start, end);
        },
        onClose: (cause) => {
          this.#closed(connection, cause);
        },
      },
    );
    this.#connection = connection;
  }

  #receive(bytes: Buffer, start: number, end: number): void {
    const wire = this.#wire;
    this.#heardAtMs = this.#context.turn.nowMs;
    if (wire.sentCount === 0) {
      this.#connection?.destroy("it sent a reply that nobody asked for");
      return;
    }
    const flags = wire.headFlags;
    const isRefused = bytes[start] === MINUS && isNotExecuted(bytes, start, end);
    if (this.#isOpen && !isRefused && flags <= READ) {
      wire.answer(bytes, start, end);
      return;
    }
    if ((flags & FENCE) !== 0) {
      wire.shift();
      this.#prove(replicasHolding(Buffer.from(bytes.subarray(start, end))));
    } else if (isRefused || (this.#refused.length > 0 && (flags & READ) !== 0)) {
      this.#isOpen = false;
      if (isRefused) this.#problem = bytes.toString("utf8", start + 1, end - 2);
      this.#refused.push(wire.shift());
    } else {
      this.#isProbing &&= this.#refused.length > 0;
      if ((flags & FENCED) === 0) wire.answer(bytes, start, end);
      else
        this.#unproved.push({ held: wire.shift(), raw: Buffer.from(bytes.subarray(start, end)) });
    }
    if (wire.sentCount === 0) this.#settled();
  }

  /** All that was written is answered. */
  #settled(): void {
    if (this.#refused.length > 0) {
      const again = [...this.#refused, ...this.#wire.takeBackUnsent()];
      this.#refused = [];
      const hasFallback = this.#options.fallback !== undefined;
      this.#isProbing = !hasFallback;
      this.#pause(hasFallback ? FALLBACK_MS : PROBE_EVERY_MS);
      this.#putBack(again);
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
      this.#answer(held, isHeld ? raw : underreplicated(count, ackReplicas));
    }
  }

  #closed(connection: BackendConnection, cause: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#isOpen = false;
    this.#problem = cause;
    for (const end of [this.#endDrain, this.#endSilence]) end?.();
    this.#endDrain = this.#endSilence = undefined;
    const unsent = this.#wire.takeBackUnsent();
    this.#counters.lost += this.#wire.sentCount;
    const unknown = [...this.#unproved.map(({ held }) => held), ...this.#wire.takeBackAll()];
    this.#unproved = [];
    if (unknown.length > 0 && connection.identity !== undefined) {
      this.#broken.set(placeOf(connection.target), connection.identity);
    }
    const again = [...this.#refused, ...unsent];
    this.#refused = [];
    const stale = overtaken(unknown, this.#context.retryUnknown);
    for (const held of unknown) {
      held.unknownAt = connection.target.name;
      if (!stale.has(held) && mayRepeat(held, this.#context.retryUnknown)) again.push(held);
      else this.#answer(held, this.#lost(held, cause, stale.has(held)));
    }
    // The first time at once: a connection may break for reasons of its own. Then with growing patience.
    this.#failures++;
    if (this.#failures > 1 && !this.#isClosed) {
      this.#pause(Math.min(20 * 2 ** (this.#failures - 2), RECONNECT_MS_MAX));
    }
    this.#putBack(again.sort((a, b) => a.order - b.order));
    if (this.#isClosed) this.close();
    else this.#pump();
  }

  #lost(held: Held, why: string, isOvertaken = false): Buffer {
    this.#context.stats.unserved(held, isOvertaken);
    return lostReply(held, this.partition, why, isOvertaken);
  }

  #answer({ sink, tag }: Held, reply: Buffer): void {
    sink.take(tag, reply, 0, reply.length);
  }

  /** Another node is the lane's, or none: what is on the wire is waited for a moment, then given up. */
  #leave(connection: BackendConnection): void {
    this.#putBack(this.#wire.takeBackUnsent());
    if (this.#wire.count === 0) {
      this.#failures = 0;
      connection.destroy("it lost its role");
      return;
    }
    this.#endDrain ??= this.#context.clock.after(DRAIN_MS, () => {
      this.#endDrain = undefined;
      this.#failures = 0;
      connection.destroy("it lost its role and is silent");
    });
  }

  /** Before anything newer; to the fallback where there is one. */
  #putBack(requests: readonly Held[]): void {
    if (requests.length === 0) return;
    if (this.#options.fallback !== undefined) this.#options.fallback.adopt(requests);
    else this.#queue.addFirst(requests);
  }

  #pause(delayMs: number): void {
    this.#isOpen = false;
    this.#endPause?.();
    this.#endPause = this.#context.clock.after(delayMs, () => {
      this.#endPause = undefined;
      this.#pump();
    });
  }

  get #silentMsMax(): number {
    return Math.max(SILENT_MS, this.#context.holdForMs) + this.#context.ackTimeoutMs;
  }

  /** The view says nothing of a connection that only this router has lost: such a one must not be waited for for ever. */
  #watchSilence(delayMs: number): () => void {
    return this.#context.clock.after(delayMs, () => {
      this.#endSilence = undefined;
      if (this.#wire.sentCount === 0) return;
      const leftMs = this.#heardAtMs + this.#silentMsMax - this.#context.clock.nowMs();
      if (leftMs > 0) this.#endSilence = this.#watchSilence(leftMs);
      else this.#connection?.destroy(`it was silent for ${this.#silentMsMax} ms`, "timeout");
    });
  }
}
