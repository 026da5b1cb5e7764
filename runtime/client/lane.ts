// lane.ts: the way to one node of one partition: held requests, the connection, what is on the wire.
//
//   submit -> on the wire -> done(reply)              while the lane is open
//   submit -> held -> on the wire -> ...              while it is not
//               ^          |
//               |  not executed, or its connection broke and it may be sent twice (retry-unknown)
//               +----------+
//
// Invariants: requests leave in the order they came, but for reads that pass held writes of other keys; nothing is sent
// to a new master while replies of the old one may still come, because one of them may send its request back.
// After a node said that it executed nothing, or that it is no master (it may become one within a pipeline), one request
// at a time probes it until one is executed. What it reads behind a refusal counts as refused: the write is not in it.
// With ack-replicas a WAIT follows every batch with a write in it, and the batch's replies wait for its answer: reads
// too, since a read may have seen a write that nobody else holds yet.
// A lane to a replica holds nothing: what it can't send or was refused, its fallback takes.
import { replicasHolding, underreplicated, waitCommand } from "../route/acknowledge.ts";
import type { ConnectionIdentity } from "../route/node-greeting.ts";
import { isError } from "../route/split.ts";
import { Fifo } from "./fifo.ts";
import { HeldRequests, isAmong } from "./held-requests.ts";
import type { LaneContext } from "./lane-context.ts";
import { isSame, NodeConnection, placeOf, type NodeTarget } from "./node-connection.ts";
import { isNotExecuted, lostReply, mayRepeat, overtaken, type Request } from "./request.ts";
import { whyHeld } from "./why-held.ts";

export interface LaneOptions {
  readonly partition: number;
  /** The node that the lane leads to, while there is one. */
  target(): NodeTarget | undefined;
  /** Takes what this lane can't do. */
  readonly fallback?: Lane;
  /** Runs when the connection ended, before there is another. */
  readonly onLost?: () => void;
}

interface Sent {
  /** undefined: the WAIT behind a batch. */
  readonly request: Request | undefined;
  repliesLeft: number;
  /** A command of this transaction was refused. */
  isRefused: boolean;
  isFenced: boolean;
}

/** How long replies of a node that is no longer the lane's are waited for. */
const DRAIN_MS = 200;
const PROBE_EVERY_MS = 50;
const RECONNECT_MS_MAX = 500;
/** A lane with a fallback tries its own node again after this. */
const FALLBACK_MS = 500;
/** A connection to a master that says nothing for that long, or for hold-for if that is longer, is given up. */
const SILENT_MS = 30_000;
const CLOSED = "the client was closed";

export class Lane {
  readonly #options: LaneOptions;
  readonly #context: LaneContext;
  readonly #wire = new Fifo<Sent>();
  readonly #held: HeldRequests;
  #unsent: Request[] = [];
  #refused: Request[] = [];
  #unproved: { readonly request: Request; readonly reply: Buffer }[] = [];
  /** By host:port: its connection that broke with requests on the wire. */
  readonly #broken = new Map<string, readonly ConnectionIdentity[]>();
  #target: NodeTarget | undefined;
  #connection: NodeConnection | undefined;
  #isOpen = false;
  #lastOrder = 0;
  #isProbing = false;
  #isClosed = false;
  #isHoldTold = false;
  #failureCount = 0;
  #problem = "";
  #heardAtMs = 0;
  #endPause: (() => void) | undefined;
  #endDrain: (() => void) | undefined;
  #endSilence: (() => void) | undefined;

  constructor(options: LaneOptions, context: LaneContext) {
    this.#options = options;
    this.#context = context;
    this.#target = options.target();
    this.#held = new HeldRequests(context, (request, why) => {
      request.done(this.#lost(request, why ?? this.#reason(request)));
    });
  }

  submit(request: Request): void {
    request.order = ++this.#lastOrder;
    if (this.#isClosed) {
      request.done(this.#lost(request, CLOSED));
    } else if (this.#isOpen) {
      this.#send(request);
    } else {
      this.#held.addLast(request);
      this.#pump();
      this.#held.refuseBeyondMax(request);
    }
  }

  /** The topology changed. */
  changed(): void {
    const target = this.#options.target();
    if (target !== undefined && (!this.#target || !isSame(target, this.#target))) {
      this.#failureCount = 0;
      if (this.#held.isEmpty) this.#context.onServed(this.#options.partition);
    }
    this.#target = target;
    this.#endPause?.();
    this.#endPause = undefined;
    this.#pump();
  }

  close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
    for (const end of [this.#endPause, this.#endDrain, this.#endSilence]) end?.();
    this.#held.close();
    this.#connection?.destroy(CLOSED);
    for (const request of [...this.#refused, ...this.#held.takeAll()]) {
      request.done(this.#lost(request, CLOSED));
    }
    this.#refused = [];
  }

  /** What is sent in one turn leaves in one write. */
  #send(request: Request): void {
    this.#unsent.push(request);
    if (this.#unsent.length === 1) {
      queueMicrotask(() => {
        this.#flush();
      });
    }
  }

  #flush(): void {
    const connection = this.#connection;
    if (this.#unsent.length === 0) return;
    const gathered = this.#unsent.splice(0);
    if (connection?.isReady !== true) {
      this.#putBack(gathered);
      return;
    }
    const batch = gathered.filter((request) => request.leaves?.() !== false);
    if (batch.length === 0) {
      this.#pump();
      return;
    }
    const { ackReplicas, ackTimeoutMs, clock } = this.#context;
    const isFenced = ackReplicas > 0 && batch.some(({ isRead }) => !isRead);
    if (this.#wire.count === 0) this.#heardAtMs = clock.nowMs();
    for (const request of batch) {
      this.#wire.push({ request, repliesLeft: request.replyCount, isRefused: false, isFenced });
    }
    const pieces = batch.map(({ bytes }) => bytes);
    if (isFenced) {
      pieces.push(waitCommand(ackReplicas, ackTimeoutMs));
      this.#wire.push({ request: undefined, repliesLeft: 1, isRefused: false, isFenced: false });
    }
    connection.write(pieces);
    this.#endSilence ??= this.#watchSilence(this.#silentMsMax);
  }

  #pump(): void {
    if (this.#isClosed) return;
    const connection = this.#connection;
    if (connection !== undefined && !isSame(connection.target, this.#target)) {
      this.#isOpen = false;
      this.#leave(connection);
      return;
    }
    this.#endDrain?.();
    this.#endDrain = undefined;
    const target = this.#target;
    const mayGo = target !== undefined && !this.#endPause && this.#refused.length === 0;
    if (mayGo && connection === undefined && !this.#held.isEmpty) this.#open(target);
    if (mayGo && connection?.isReady === true) this.#sendHeld();
    if (!mayGo && this.#options.fallback !== undefined) this.#giveToFallback();
    this.#isOpen =
      mayGo &&
      this.#connection?.isReady === true &&
      !this.#isProbing &&
      this.#held.isEmpty &&
      this.#context.topology.mayWrite();
    if (this.#isOpen && !this.#options.fallback) this.#context.onServed(this.#options.partition);
    this.#tellHeld();
  }

  /** Waiting for a first connection is nothing to tell of. */
  #tellHeld(): void {
    const isStuck =
      this.#target === undefined ||
      this.#failureCount > 0 ||
      this.#isProbing ||
      !this.#context.topology.mayWrite();
    const isHeld = isStuck && !this.#held.isEmpty;
    if (isHeld && !this.#isHoldTold) {
      this.#context.onHeld(this.#options.partition, this.#reason(undefined));
    }
    this.#isHoldTold = isHeld;
  }

  #sendHeld(): void {
    const waitingKeys = new Set<string>();
    const mayWrite = this.#context.topology.mayWrite();
    let isBlocked = false;
    this.#held.release((request) => {
      const keys = request.keys();
      const isBehind = isBlocked || isAmong(keys, waitingKeys);
      const isProbed = this.#isProbing && this.#wire.count + this.#unsent.length > 0;
      if ((mayWrite || request.isRead) && !isBehind && !isProbed) {
        this.#send(request);
        return true;
      }
      if (keys === undefined || isProbed) isBlocked = true;
      else for (const key of keys) waitingKeys.add(key);
      return false;
    });
  }

  #open(target: NodeTarget): void {
    const { clock, connectTimeoutMs, tls } = this.#context;
    const place = placeOf(target);
    const connection = new NodeConnection(
      target,
      { clock, connectTimeoutMs, tls, predecessors: this.#broken.get(place) },
      {
        onReady: () => {
          this.#broken.delete(place);
          this.#failureCount = 0;
          this.#problem = "";
          this.#isProbing ||= !connection.isMaster && this.#options.fallback === undefined;
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

  #receive(reply: Buffer): void {
    this.#heardAtMs = this.#context.clock.nowMs();
    const sent = this.#wire.peek();
    if (sent === undefined) {
      this.#connection?.destroy("it sent a reply that nobody asked for");
      return;
    }
    sent.repliesLeft--;
    sent.isRefused ||= isNotExecuted(reply);
    if (sent.repliesLeft > 0) return;
    this.#wire.shift();
    const { request } = sent;
    if (request === undefined) {
      this.#prove(replicasHolding(reply));
    } else if ((sent.isRefused && isError(reply)) || (this.#refused.length > 0 && request.isRead)) {
      this.#isOpen = false;
      if (isError(reply)) this.#problem = reply.toString("utf8", 1, reply.length - 2);
      this.#refused.push(request);
    } else {
      this.#isProbing &&= this.#refused.length > 0;
      if (sent.isFenced) this.#unproved.push({ request, reply });
      else request.done(reply);
    }
    if (this.#wire.count === 0) this.#settled();
  }

  /** All that was written is answered. */
  #settled(): void {
    if (this.#refused.length > 0) {
      const again = [...this.#refused, ...this.#unsent];
      this.#refused = [];
      this.#unsent = [];
      this.#isProbing = true;
      this.#pause(this.#options.fallback === undefined ? PROBE_EVERY_MS : FALLBACK_MS);
      this.#putBack(again);
    }
    if (!this.#isOpen) this.#pump();
  }

  /** The WAIT of a batch was answered: its replies go out, those of writes that too few replicas hold as an error. */
  #prove(count: number): void {
    const { ackReplicas } = this.#context;
    for (const { request, reply } of this.#unproved.splice(0)) {
      const isProved = count >= ackReplicas || request.isRead || isError(reply);
      request.done(isProved ? reply : underreplicated(count, ackReplicas));
    }
  }

  #closed(connection: NodeConnection, cause: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#isOpen = false;
    this.#options.onLost?.();
    this.#problem = cause;
    for (const end of [this.#endDrain, this.#endSilence]) end?.();
    this.#endDrain = this.#endSilence = undefined;
    const onWire = this.#wire.takeAll().flatMap(({ request }) => request ?? []);
    const unknown = [...this.#unproved.splice(0).map(({ request }) => request), ...onWire];
    if (unknown.length > 0 && connection.identity !== undefined) {
      this.#broken.set(placeOf(connection.target), [connection.identity]);
    }
    const again = [...this.#refused, ...this.#unsent];
    this.#refused = [];
    this.#unsent = [];
    const stale = overtaken(unknown, this.#context.retryUnknown);
    for (const request of unknown) {
      request.unknownAt = connection.target.name;
      const isStale = stale.has(request);
      if (!isStale && !this.#isClosed && mayRepeat(request, this.#context.retryUnknown))
        again.push(request);
      else request.done(this.#lost(request, cause, isStale));
    }
    if (this.#isClosed) {
      for (const request of again) request.done(this.#lost(request, CLOSED));
      return;
    }
    // The first time at once: a connection may break for reasons of its own. Then with growing patience.
    this.#failureCount++;
    const { fallback } = this.#options;
    if (fallback !== undefined) this.#pause(FALLBACK_MS);
    else if (this.#failureCount > 1) {
      this.#pause(Math.min(20 * 2 ** (this.#failureCount - 2), RECONNECT_MS_MAX));
    }
    this.#putBack(again.sort((a, b) => a.order - b.order));
    this.#context.onFailure(this.#options.partition, connection.target, cause);
    this.#pump();
  }

  #lost(request: Request, why: string, isOvertaken = false): Buffer {
    return lostReply(request, this.#options.partition, why, isOvertaken);
  }

  /** Another node is the lane's, or none: what is on the wire is waited for a moment, then given up. */
  #leave(connection: NodeConnection): void {
    this.#putBack(this.#unsent.splice(0));
    if (this.#wire.count === 0) {
      this.#failureCount = 0;
      connection.destroy("it lost its role");
      return;
    }
    this.#endDrain ??= this.#context.clock.after(DRAIN_MS, () => {
      this.#endDrain = undefined;
      this.#failureCount = 0;
      connection.destroy("it lost its role and is silent");
    });
  }

  /** Before anything newer; to the fallback where there is one. */
  #putBack(requests: readonly Request[]): void {
    if (requests.length > 0) this.#held.addFirst(requests);
    if (this.#options.fallback !== undefined) this.#giveToFallback();
  }

  #giveToFallback(): void {
    for (const request of this.#held.takeAll()) this.#options.fallback?.submit(request);
  }

  #pause(delayMs: number): void {
    this.#isOpen = false;
    this.#endPause?.();
    this.#endPause = this.#context.clock.after(delayMs, () => {
      this.#endPause = undefined;
      this.#isProbing &&= this.#options.fallback === undefined;
      this.#pump();
    });
  }

  get #silentMsMax(): number {
    const { holdForMs, ackTimeoutMs, readerSilentMs } = this.#context;
    if (this.#options.fallback !== undefined) return readerSilentMs;
    return Math.max(SILENT_MS, holdForMs) + ackTimeoutMs;
  }

  /** The view says nothing of a connection that only this client has lost: it must not be waited for for ever. */
  #watchSilence(delayMs: number): () => void {
    return this.#context.clock.after(delayMs, () => {
      this.#endSilence = undefined;
      if (this.#wire.count === 0) return;
      const leftMs = this.#heardAtMs + this.#silentMsMax - this.#context.clock.nowMs();
      if (leftMs > 0) this.#endSilence = this.#watchSilence(leftMs);
      else this.#connection?.destroy(`it was silent for ${this.#silentMsMax} ms`);
    });
  }

  #reason(request: Request | undefined): string {
    const mayGo = request?.isRead === true || this.#context.topology.mayWrite();
    const { partition } = this.#options;
    return whyHeld({ partition, target: this.#target, problem: this.#problem, mayGo });
  }
}
