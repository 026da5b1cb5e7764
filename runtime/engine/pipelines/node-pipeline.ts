// node-pipeline.ts: the requests to one node of one partition in one protocol: buffered, and sent on its connection.
//
//   submit -> in flight -> sink.take(reply)          while the pipeline is open
//   submit -> buffer -> in flight -> ...             while it is not
//               ^          |  not executed, or its connection broke and it may be sent twice (retry-unknown)
//               +----------+
//
// Invariants: requests are sent in the order in which they arrived; retried ones keep that order, before newer ones. Nothing
// is sent to a new master while the old one may still reply, because a reply may cause its request to be retried.
// After a node has refused a request as not executed, or is no master (it may become one within a pipeline), requests are
// sent one at a time until one is executed. Reads pipelined after a refused write are retried too: they would not show it.
// A pipeline to a replica (read-from replica) buffers nothing: its fallback takes what it can't send or the replica refused.
import { replicasHolding } from "../../route/replies/acknowledge.ts";
import type { ConnectionIdentity } from "../../route/session/node-greeting.ts";
import {
  BackendConnection,
  isSameTarget,
  addressOf,
  type BackendTarget,
} from "./backend-connection.ts";
import { BatchWriter } from "./batch-writer.ts";
import { afterBreak, isNotExecuted, lostReply, whyUnserved } from "./outcome.ts";
import { RequestBuffer } from "./request-buffer.ts";
import {
  ASKS_ROLE,
  BARRIER,
  BEHIND_BARRIER,
  byOrder,
  InFlight,
  READ,
  type BufferedRequest,
} from "./in-flight.ts";
import {
  backendOptions,
  type HandedOver,
  type PipelineContext,
  type PipelineOptions,
} from "./pipeline-context.ts";
import { pipelineQueues, type PipelineQueues } from "./pipeline-queues.ts";
import { OneTimer } from "./one-timer.ts";
import type { ReplySink } from "./reply-sink.ts";
import { runsScript, ScriptErrors } from "./script-errors.ts";
import { SilenceWatch } from "./silence-watch.ts";
import { UnprovedReplies } from "./unproved-replies.ts";
import { DRAIN_MS, FALLBACK_MS, PROBE_EVERY_MS, RECONNECT_MS_MAX } from "../limits.ts";
import { noCounters } from "../stats/counters.ts";

const MINUS = 45;

export class NodePipeline {
  readonly partition: number;
  readonly #options: PipelineOptions;
  readonly #context: PipelineContext;
  readonly #wire = new InFlight();
  readonly #queue: RequestBuffer;
  readonly #silence: SilenceWatch;
  readonly #writer: BatchWriter;
  /** Requests that the node refused as not executed, while later ones are still in flight. */
  #refused: BufferedRequest[] = [];
  readonly #unproved = new UnprovedReplies();
  /** By address: the last connection that broke there with requests on the wire. */
  readonly #broken = new Map<string, ConnectionIdentity>();
  target: BackendTarget | undefined;
  #connection: BackendConnection | undefined;
  /** Of the connection's node, or of the last one. */
  #counters = noCounters(0);
  /** A new request may be written at once. */
  #isOpen = false;
  #isDue = false;
  #lastOrder = 0;
  #isProbing = false;
  #isClosed = false;
  #failures = 0;
  #problem = "";
  /** Set when the routing has changed: nothing more is sent, and it is called with the rest once every reply has arrived. */
  #handOver: ((rest: HandedOver) => void) | undefined;
  readonly #pausing: OneTimer;
  readonly #draining: OneTimer;
  readonly #scriptErrors = new ScriptErrors();
  readonly #mayWrite = (): boolean => this.#context.mayWrite(this.partition);

  constructor(options: PipelineOptions, context: PipelineContext) {
    this.partition = options.partition;
    this.#options = options;
    this.#context = context;
    this.#pausing = new OneTimer(context.clock);
    this.#draining = new OneTimer(context.clock);
    this.target = options.target();
    const isOwed = (): boolean => this.#wire.sentCount > 0;
    this.#silence = new SilenceWatch({ context, options }, isOwed, (cause) => {
      this.#connection?.destroy(cause, "timeout");
    });
    this.#writer = new BatchWriter(context, this.#wire, this.#silence);
    this.#queue = new RequestBuffer(context, this.#mayWrite, (request, why) => {
      this.#giveUp(request, why ?? this.#why(request.isRead || this.#mayWrite()));
    });
  }

  /** Sends or buffers the request bytes[start, end), which are copied. `sink` gets the reply with `tag`. */
  submit(
    sink: ReplySink,
    tag: number,
    bytes: Buffer,
    start: number,
    end: number,
    isRead: boolean,
  ): void {
    const { nowMs } = this.#context.tick;
    const order = ++this.#lastOrder;
    if (!isRead) sink.owner.written?.note(this.partition);
    if (this.#isOpen) {
      this.#wire.put(sink, tag, bytes, start, end, isRead ? READ : 0, nowMs, order);
      if (!this.#isDue) this.#context.tick.addPipeline(this);
      this.#isDue = true;
      return;
    }
    const command = Buffer.from(bytes.subarray(start, end));
    this.adopt([{ sink, tag, command, isRead, sinceMs: nowMs, order, unknownAt: undefined }]);
  }

  /** Buffers requests. Those of another pipeline keep the time since which they are buffered. */
  adopt(requests: readonly BufferedRequest[]): void {
    const { fallback } = this.#options;
    if (fallback !== undefined) {
      fallback.adopt(requests);
      this.#pump();
      return;
    }
    for (const request of requests) {
      const buffered = { ...request, order: ++this.#lastOrder };
      this.#queue.addLast(buffered);
      this.#pump();
      this.#queue.refuseBeyondMax(buffered);
    }
    this.#queue.watchExpiry();
    this.#reportOutage();
  }

  /** Reports that requests are buffered. Opening the first connection is no outage. */
  #reportOutage(): void {
    const isStuck = this.target === undefined || this.#failures > 0 || this.#isProbing;
    if (this.#queue.isEmpty || !(isStuck || !this.#mayWrite())) return;
    this.#context.outages.buffering(this.partition, this.#why(this.#mayWrite()));
  }

  #why(mayGo: boolean): string {
    const followed = this.#context.followedBy(this.partition);
    return whyUnserved(this.partition, this.target, this.#problem, mayGo, followed);
  }

  queues(): PipelineQueues {
    const node = this.#connection?.target.name;
    return pipelineQueues(node, this.partition, this.#queue, this.#refused, this.#wire);
  }

  viewChanged(): void {
    this.target = this.#options.target();
    this.#pausing.end();
    this.#pump();
  }

  /** The routing has changed: awaits outstanding replies for at most `waitMs`, then calls `handOver` with the rest in order. */
  retire(waitMs: number, handOver: (rest: HandedOver) => void): void {
    this.#handOver = handOver;
    this.#isOpen = false;
    this.#queue.addFirst(this.#wire.cancelUnsent());
    this.#pausing.end();
    this.#draining.start(waitMs, () => {
      this.#connection?.destroy("its keys lie elsewhere now and it is silent");
    });
    this.#retireWhenQuiet();
  }

  #retireWhenQuiet(): void {
    const handOver = this.#handOver;
    if (this.#wire.count > 0 || handOver === undefined) return;
    const requests = [...this.#refused.sort(byOrder), ...this.#queue.takeAll()];
    this.#refused = [];
    this.#isClosed = true;
    for (const timer of [this.#silence, this.#pausing, this.#draining]) timer.end();
    this.#connection?.destroy("its keys lie elsewhere now");
    handOver({ requests, broken: this.#broken });
  }

  /** Buffers the requests of pipelines of the previous routing, before all others. */
  adoptFirst({ requests, broken }: HandedOver): void {
    this.#queue.addFirst(requests.map((request) => ({ ...request, order: ++this.#lastOrder })));
    for (const [address, identity] of broken) this.#broken.set(address, identity);
  }

  close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
    for (const timer of [this.#silence, this.#pausing, this.#draining]) timer.end();
    this.#connection?.destroy(this.#context.closingCause);
    this.#queue.addFirst(this.#refused);
    this.#refused = [];
    this.#queue.close(this.#context.closingCause);
  }

  /** Called at the end of the tick: writes the requests that it gathered. */
  flush(): void {
    this.#isDue = false;
    const connection = this.#connection;
    if (connection?.isReady !== true || this.#wire.unsentCount === 0) return;
    // Checked at the moment of writing: this process may have been paused since the requests arrived.
    const isReadOnly = !this.#wire.hasUnsentWrite();
    const mayGo = this.#mayWrite() || (isReadOnly && this.#mayReadUnconfirmed);
    if (!this.#isOpen || !mayGo) {
      this.#putBack(this.#wire.cancelUnsent());
      this.#pump();
      return;
    }
    this.#writer.write(connection, this.#counters);
  }

  get #mayReadUnconfirmed(): boolean {
    return !this.#context.readsNeedConfirmation(this.partition);
  }

  #pump(): void {
    if (this.#isClosed) return;
    if (this.#handOver !== undefined) {
      this.#retireWhenQuiet();
      return;
    }
    const connection = this.#connection;
    if (connection !== undefined && !isSameTarget(connection.target, this.target)) {
      this.#isOpen = false;
      this.#leave(connection);
      return;
    }
    this.#draining.end();
    const mayGo =
      this.target !== undefined &&
      !this.#pausing.isRunning &&
      this.#refused.length === 0 &&
      !this.#context.isSwitching;
    const isWanted = !this.#queue.isEmpty || this.#options.fallback !== undefined;
    if (mayGo && connection === undefined && isWanted) this.#open(this.target);
    if (mayGo && connection?.isReady === true && !this.#queue.isEmpty) this.#sendAll(connection);
    this.#isOpen =
      mayGo &&
      this.#connection?.isReady === true &&
      !this.#isProbing &&
      this.#queue.isEmpty &&
      this.#mayWrite();
    if (this.#isOpen && this.#options.fallback === undefined) {
      this.#context.outages.served(this.partition);
    }
  }

  #sendAll(connection: BackendConnection): void {
    this.#queue.releaseTo(this.#wire, this.#mayReadUnconfirmed, this.#isProbing);
    if (this.#wire.unsentCount > 0) this.#writer.write(connection, this.#counters);
  }

  #open(target: BackendTarget | undefined): void {
    if (target === undefined) return;
    this.#counters = this.#context.stats.node(target.name, this.partition);
    const connection = new BackendConnection(
      target,
      {
        ...backendOptions(this.#context, this.#options.protocol, this.#counters),
        predecessor: this.#broken.get(addressOf(target)),
      },
      {
        onReady: () => {
          this.#broken.delete(addressOf(target));
          this.#failures = 0;
          this.#problem = "";
          this.#isProbing ||= !connection.isMaster && this.#options.fallback === undefined;
          this.#pump();
        },
        onReply: (bytes, start, end) => {
          this.#receive(bytes, start, end);
        },
        onClose: (cause) => {
          this.#closed(connection, cause.reason);
        },
      },
    );
    this.#connection = connection;
  }

  #receive(bytes: Buffer, start: number, end: number): void {
    const wire = this.#wire;
    this.#silence.heardAtMs = this.#context.tick.nowMs;
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
    if ((flags & ASKS_ROLE) !== 0) {
      wire.shift();
      const refused = this.#scriptErrors.settle(bytes.toString("latin1", start, end));
      if (refused !== undefined) this.#refused.push(refused);
      this.#isOpen &&= refused === undefined;
    } else if (isRefused && runsScript(wire.headCommand)) {
      this.#scriptErrors.add(wire.shift(), Buffer.from(bytes.subarray(start, end)));
      this.flush();
      if (this.#connection !== undefined) this.#writer.askRole(this.#connection);
    } else if ((flags & BARRIER) !== 0) {
      wire.shift();
      const count = replicasHolding(Buffer.from(bytes.subarray(start, end)));
      this.#unproved.prove(count, this.#context.ackReplicas);
    } else if (isRefused || (this.#refused.length > 0 && (flags & READ) !== 0)) {
      this.#isOpen = false;
      if (isRefused) this.#problem = bytes.toString("utf8", start + 1, end - 2);
      this.#refused.push(wire.shift());
    } else {
      this.#isProbing &&= this.#refused.length > 0;
      if ((flags & BEHIND_BARRIER) === 0) wire.answer(bytes, start, end);
      else this.#unproved.add(wire.shift(), Buffer.from(bytes.subarray(start, end)));
    }
    if (wire.sentCount === 0) this.#settled();
  }

  /** Every written request has its reply. */
  #settled(): void {
    if (this.#refused.length > 0 && this.#handOver === undefined) {
      const again = [...this.#refused.sort(byOrder), ...this.#wire.cancelUnsent()];
      this.#refused = [];
      const hasFallback = this.#options.fallback !== undefined;
      this.#isProbing = !hasFallback;
      this.#pause(hasFallback ? FALLBACK_MS : PROBE_EVERY_MS);
      this.#putBack(again);
    }
    this.#pump();
  }

  #closed(connection: BackendConnection, cause: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#isOpen = false;
    this.#problem = cause;
    this.#silence.end();
    this.#draining.end();
    this.#scriptErrors.deliverAll();
    const unsent = this.#wire.cancelUnsent();
    this.#counters.lost += this.#wire.sentCount;
    const unknown = [...this.#unproved.takeAll(), ...this.#wire.cancelAll()];
    if (unknown.length > 0 && connection.identity !== undefined) {
      this.#broken.set(addressOf(connection.target), connection.identity);
    }
    const broken = afterBreak(unknown, connection.target.name, this.#context.retryUnknown);
    for (const [request, isStale] of broken.lost) this.#giveUp(request, cause, isStale);
    const again = [...this.#refused, ...unsent, ...broken.again];
    this.#refused = [];
    // The first attempt follows at once: the failure may concern this connection alone. Then the pauses grow.
    this.#failures++;
    if (this.#failures > 1 && !this.#isClosed && this.#handOver === undefined) {
      this.#pause(Math.min(20 * 2 ** (this.#failures - 2), RECONNECT_MS_MAX));
    }
    this.#putBack(again.sort(byOrder));
    if (!this.#isClosed) {
      this.#context.outages.failed(this.partition, connection.target.name, cause);
      this.#pump();
      this.#reportOutage();
    } else this.close();
  }

  #giveUp(request: BufferedRequest, why: string, isOvertaken = false): void {
    this.#context.stats.unserved(request, isOvertaken);
    const reply = lostReply(request, this.partition, why, isOvertaken);
    request.sink.take(request.tag, reply, 0, reply.length);
  }

  /** The pipeline has another node or none: awaits the outstanding replies for DRAIN_MS, then closes the connection. */
  #leave(connection: BackendConnection): void {
    this.#putBack(this.#wire.cancelUnsent());
    this.#failures = 0;
    const isOver = this.#wire.count === 0 || this.#context.isAbandoned(this.partition);
    if (isOver) connection.destroy("it lost its role");
    else if (!this.#draining.isRunning)
      this.#draining.start(DRAIN_MS, () => {
        this.#failures = 0;
        connection.destroy("it lost its role and is silent");
      });
  }

  /** Buffers requests before newer ones, or gives them to the fallback. */
  #putBack(requests: readonly BufferedRequest[]): void {
    const { fallback } = this.#options;
    if (fallback === undefined || this.#handOver !== undefined) this.#queue.addFirst(requests);
    else fallback.adopt(requests);
  }

  #pause(delayMs: number): void {
    this.#isOpen = false;
    this.#pausing.start(delayMs, () => {
      this.#pump();
    });
  }
}
