// pool.ts: the dedicated connections of one process, each used by one client at a time.
//
//   acquire(request) -> an idle connection to that partition's master, or a new one; buffered while there is no master
//   release(connection) -> idle for IDLE_MS -> closed
//
// Requests are buffered by the pipelines' rules: at most hold-for and hold-bytes, and no writes while no majority of the
// status nodes confirms the view. When a connection breaks with requests on it, CLIENT KILL ends it at its node before
// another connection to that address is assigned: a paused server would execute those requests when it wakes (seen).
import { encodeCommand, type Protocol } from "../../resp/encode.ts";
import type { ConnectionIdentity } from "../../route/session/node-greeting.ts";
import { MasterGenerations } from "../../route/session/written-partitions.ts";
import { isSameTarget, addressOf, type BackendTarget } from "../pipelines/backend-connection.ts";
import {
  backendOptions,
  masterNode,
  targetOf,
  type PipelineContext,
} from "../pipelines/pipeline-context.ts";
import type { RoutedView } from "../pipelines/routed-view.ts";
import { whyUnserved } from "../pipelines/outcome.ts";
import { RECONNECT_MS_MAX } from "../limits.ts";
import { DedicatedConnection } from "./connection.ts";
import { OpenQueues } from "./open-queues.ts";

/** A request for a connection. */
export interface ConnectionRequest {
  readonly partition: number;
  readonly protocol: Protocol;
  /** It may be sent to a master that no majority of the status nodes confirms. */
  readonly isRead: boolean;
  /** Bytes that are buffered until the connection is ready. */
  readonly bytes: number;
  /** How long it may be buffered; undefined: until it is cancelled. */
  readonly holdMs: number | undefined;
  ready(connection: DedicatedConnection): void;
  /** It was buffered for too long, or hold-bytes is used up. */
  failed(why: string): void;
  /** The routing has changed. The request is cancelled; compute the partition again and make a new one. */
  moved(): void;
}

interface Waiting extends ConnectionRequest {
  failures: number;
  problem: string;
  opening: DedicatedConnection | undefined;
  endPause: (() => void) | undefined;
  cancelTimeout: (() => void) | undefined;
}

interface Idle {
  readonly connection: DedicatedConnection;
  readonly sinceMs: number;
}

const IDLE_MS = 15_000;
/** For each master and protocol. */
const IDLE_MAX = 32;

export class DedicatedPool {
  readonly context: PipelineContext;
  /** Counts the masters of each partition: writes under an earlier master may be lost. */
  readonly generations: MasterGenerations;
  readonly openQueues: OpenQueues;
  readonly #routed: RoutedView;
  #masters: (BackendTarget | undefined)[];
  readonly #waiting = new Set<Waiting>();
  readonly #borrowed = new Set<DedicatedConnection>();
  #idle: Idle[] = [];
  readonly #broken = new Map<string, ConnectionIdentity[]>();
  #endSweep: (() => void) | undefined;
  /** The number of connections that have not ended. */
  #openCount = 0;
  #isClosed = false;

  constructor(context: PipelineContext, routed: RoutedView) {
    const { partitions } = routed.routing;
    this.context = context;
    this.openQueues = new OpenQueues(context);
    this.#routed = routed;
    this.generations = new MasterGenerations(partitions);
    this.#masters = new Array<BackendTarget | undefined>(partitions).fill(undefined);
    this.#readMasters();
  }

  masterOf(partition: number): BackendTarget | undefined {
    return this.#masters[partition];
  }

  /** The first partition that has a master, for commands that may go to any partition; 0 when none has. */
  anyMaster(): number {
    return Math.max(
      this.#masters.findIndex((master) => master !== undefined),
      0,
    );
  }

  /** Returns the function that cancels the request; after ready() or failed() it does nothing. */
  acquire(request: ConnectionRequest): () => void {
    const waiting: Waiting = {
      ...request,
      ...{
        failures: 0,
        problem: "",
        opening: undefined,
        endPause: undefined,
        cancelTimeout: undefined,
      },
    };
    if (this.#isClosed) {
      request.failed(this.context.closingCause);
      return () => undefined;
    }
    this.#waiting.add(waiting);
    this.context.bufferedBytes += request.bytes;
    this.#serve(waiting);
    if (!this.#waiting.has(waiting)) return () => undefined;
    if (waiting.opening === undefined) {
      this.context.outages.buffering(request.partition, this.#reason(waiting));
    }
    if (this.context.bufferedBytes > this.context.holdBytesMax) this.context.makeRoom?.();
    if (request.bytes > 0 && this.context.bufferedBytes > this.context.holdBytesMax) {
      this.#fail(waiting, "hold-bytes is used up by requests whose partitions can't be served");
    } else if (request.holdMs !== undefined) {
      waiting.cancelTimeout = this.context.clock.after(request.holdMs, () => {
        this.#fail(waiting, this.#reason(waiting));
      });
    }
    return () => {
      if (this.#settle(waiting)) waiting.opening?.destroy("its client is gone");
    };
  }

  /** Returns a connection without state to the pool: no MULTI, no WATCH, no subscription. */
  release(connection: DedicatedConnection): void {
    this.#borrowed.delete(connection);
    connection.owner = undefined;
    if (!connection.isOpen) return;
    const alike = this.#idle.filter(
      (idle) => idle.connection.isOpen && isAlike(idle.connection, connection),
    );
    const isMaster = this.isMasterStill(connection);
    if (this.#isClosed || !isMaster || connection.hasPendingReplies || alike.length >= IDLE_MAX) {
      connection.destroy("it is not needed");
      return;
    }
    this.#idle.push({ connection, sinceMs: this.context.clock.nowMs() });
    this.#sweepLater();
  }

  /** Closes a borrowed connection. Requests without a reply have an unknown outcome. */
  destroy(connection: DedicatedConnection, cause: string): void {
    this.#borrowed.delete(connection);
    connection.owner = undefined;
    connection.destroy(cause);
  }

  /** The connection ended with requests on it that the node may still execute. */
  noteBroken({ target, identity }: DedicatedConnection): void {
    if (identity === undefined) return;
    const address = addressOf(target);
    const broken = this.#broken.get(address);
    if (broken === undefined) this.#broken.set(address, [identity]);
    else broken.push(identity);
  }

  viewChanged(): void {
    this.#readMasters();
    for (const { connection } of this.#idle) {
      if (isSameTarget(connection.target, this.masterOf(connection.partition))) continue;
      connection.destroy("it lost its role");
    }
    this.#idle = this.#idle.filter(({ connection }) =>
      isSameTarget(connection.target, this.masterOf(connection.partition)),
    );
    for (const connection of [...this.#borrowed]) {
      if (!this.isMasterStill(connection)) connection.owner?.onMasterChange();
    }
    for (const waiting of [...this.#waiting]) {
      waiting.endPause?.();
      waiting.endPause = undefined;
      this.#serve(waiting);
    }
  }

  /** Another routing is in use. Requests are cancelled by moved(), and the owner of each borrowed connection is notified by
      onMasterChange(). */
  swap(): void {
    const { partitions } = this.#routed.routing;
    this.generations.restart(partitions);
    this.#masters = new Array<BackendTarget | undefined>(partitions).fill(undefined);
    this.#readMasters();
    for (const { connection } of this.#idle) connection.destroy("its keys lie elsewhere now");
    this.#idle = [];
    for (const connection of [...this.#borrowed]) connection.owner?.onMasterChange();
    for (const waiting of [...this.#waiting]) {
      if (!this.#settle(waiting)) continue;
      waiting.opening?.destroy("its keys lie elsewhere now");
      waiting.moved();
    }
  }

  /** False also when the connection belongs to an earlier routing. */
  isMasterStill(connection: DedicatedConnection): boolean {
    const isOfNow = connection.routing === this.#routed.routing;
    return isOfNow && isSameTarget(connection.target, this.masterOf(connection.partition));
  }

  close(): void {
    this.#isClosed = true;
    this.#endSweep?.();
    for (const waiting of [...this.#waiting]) {
      waiting.opening?.destroy(this.context.closingCause);
      this.#fail(waiting, this.context.closingCause);
    }
    for (const { connection } of this.#idle) connection.destroy(this.context.closingCause);
    for (const connection of [...this.#borrowed]) connection.destroy(this.context.closingCause);
    this.#idle = [];
  }

  #readMasters(): void {
    const { view } = this.#routed;
    for (let partition = 0; partition < this.#masters.length; partition++) {
      const node = masterNode(view, partition);
      const target = node === undefined ? undefined : targetOf(node);
      const before = this.#masters[partition];
      // Counted when the old master is gone, so that requests buffered from here on count for the new one.
      if (before !== undefined && !isSameTarget(before, target)) {
        this.generations.next(partition);
      }
      this.#masters[partition] = target;
    }
  }

  #serve(waiting: Waiting): void {
    const { partition, protocol } = waiting;
    const target = this.masterOf(partition);
    const maySend = this.#maySend(waiting.isRead, partition);
    if (waiting.opening !== undefined || waiting.endPause !== undefined) return;
    if (target === undefined || !maySend) return;
    // A broken connection must be ended at the node first, which only a new connection does.
    const isClean = !this.#broken.has(addressOf(target));
    const found = this.#idle.findIndex(
      ({ connection }) =>
        isClean &&
        connection.isOpen &&
        connection.protocol === protocol &&
        isSameTarget(target, connection.target),
    );
    const [idle] = found === -1 ? [] : this.#idle.splice(found, 1);
    if (idle === undefined) this.#open(waiting, target);
    else this.#assign(waiting, idle.connection);
  }

  #open(waiting: Waiting, target: BackendTarget): void {
    if (this.#openCount >= this.context.dedicatedMax) {
      this.#failedToOpen(waiting, "the process has no file descriptor left for it (ulimit -n)");
      return;
    }
    this.#openCount++;
    const counters = this.context.stats.node(target.name, waiting.partition);
    const options = backendOptions(this.context, waiting.protocol, counters);
    const place = { partition: waiting.partition, routing: this.#routed.routing };
    const connection = new DedicatedConnection(target, place, options, (isOpen, cause) => {
      if (isOpen) {
        this.#endBroken(waiting, connection);
        return;
      }
      this.#failedToOpen(waiting, cause);
    });
    connection.onEnd = () => {
      this.#openCount--;
    };
    waiting.opening = connection;
  }

  #failedToOpen(waiting: Waiting, cause: string): void {
    waiting.opening = undefined;
    if (!this.#waiting.has(waiting)) return;
    waiting.problem = cause;
    waiting.failures++;
    const node = this.masterOf(waiting.partition)?.name ?? "";
    this.context.outages.failed(waiting.partition, node, cause);
    this.context.outages.buffering(waiting.partition, this.#reason(waiting));
    const delayMs = Math.min(20 * 2 ** (waiting.failures - 1), RECONNECT_MS_MAX);
    waiting.endPause = this.context.clock.after(delayMs, () => {
      waiting.endPause = undefined;
      this.#serve(waiting);
    });
  }

  /** Ends the broken connections at their node, then assigns the new one. A restarted node has none of them. */
  #endBroken(waiting: Waiting, connection: DedicatedConnection): void {
    const broken = new Set(this.#broken.get(addressOf(connection.target)));
    const known = [...broken].filter(({ runId }) => runId === connection.identity?.runId);
    const done = (): void => {
      this.#forget(connection.target, broken);
      connection.owner = undefined;
      waiting.opening = undefined;
      this.#opened(waiting, connection);
    };
    if (known.length === 0) {
      done();
      return;
    }
    connection.owner = {
      onBroken: (cause) => {
        this.#failedToOpen(waiting, cause);
      },
      onMasterChange: () => undefined,
    };
    const kills = known.map(({ id }) => encodeCommand(["CLIENT", "KILL", "ID", String(id)]));
    connection.request(Buffer.concat(kills), kills.length, done);
  }

  #opened(waiting: Waiting, connection: DedicatedConnection): void {
    if (!this.#waiting.has(waiting)) {
      this.release(connection);
      return;
    }
    const isMaster = this.isMasterStill(connection);
    if (isMaster && this.#maySend(waiting.isRead, waiting.partition)) {
      this.#assign(waiting, connection);
      return;
    }
    this.release(connection);
    this.#serve(waiting);
  }

  #forget(target: BackendTarget, ended: ReadonlySet<ConnectionIdentity>): void {
    const address = addressOf(target);
    const left = (this.#broken.get(address) ?? []).filter((identity) => !ended.has(identity));
    if (left.length > 0) this.#broken.set(address, left);
    else this.#broken.delete(address);
  }

  #assign(waiting: Waiting, connection: DedicatedConnection): void {
    this.#settle(waiting);
    this.#borrowed.add(connection);
    this.context.outages.served(waiting.partition);
    waiting.ready(connection);
  }

  #fail(waiting: Waiting, why: string): void {
    if (!this.#settle(waiting)) return;
    waiting.opening?.destroy("its client waits no longer");
    waiting.failed(why);
  }

  /** False when the request had ended before. */
  #settle(waiting: Waiting): boolean {
    if (!this.#waiting.delete(waiting)) return false;
    this.context.bufferedBytes -= waiting.bytes;
    waiting.cancelTimeout?.();
    waiting.endPause?.();
    return true;
  }

  #sweepLater(): void {
    this.#endSweep ??= this.context.clock.after(IDLE_MS, () => {
      this.#endSweep = undefined;
      const oldMs = this.context.clock.nowMs() - IDLE_MS;
      for (const { connection, sinceMs } of this.#idle) {
        if (sinceMs <= oldMs || !connection.isOpen) connection.destroy("it is not needed");
      }
      this.#idle = this.#idle.filter((idle) => idle.sinceMs > oldMs && idle.connection.isOpen);
      if (this.#idle.length > 0) this.#sweepLater();
    });
  }

  #reason({ partition, isRead, problem }: Waiting): string {
    return whyUnserved(
      partition,
      this.masterOf(partition),
      problem,
      this.#maySend(isRead, partition),
    );
  }

  #maySend(isRead: boolean, partition: number): boolean {
    if (this.context.isSwitching) return false;
    const mayRead = isRead && !this.context.readsNeedConfirmation(partition);
    return mayRead || this.context.mayWrite(partition);
  }
}

function isAlike(a: DedicatedConnection, b: DedicatedConnection): boolean {
  return a.partition === b.partition && a.protocol === b.protocol;
}
