// pool.ts: the connections of one client that serve one caller at a time: lent, taken back, closed.
//
//   take(want) -> an idle one of that partition's master, or a new one; held while there is no master
//   give(connection) -> idle for a while -> closed
//
// The rules of holding are the lanes': bounded in time by hold-for and in bytes by hold-bytes; nothing that writes leaves
// while no majority of the status nodes confirms the view. A connection that broke while something was on it is ended at
// its node before another one to the same place is lent: a paused server would still execute what it holds (seen).
import type { ConnectionIdentity } from "../../route/node-greeting.ts";
import type { LaneContext } from "../lane-context.ts";
import { isSame, placeOf, type NodeTarget } from "../node-connection.ts";
import { whyHeld } from "../why-held.ts";
import { OwnConnection } from "./connection.ts";

/** Someone's wish for a connection. */
export interface Want {
  readonly partition: number;
  /** It may go to a master that is not confirmed. */
  readonly isRead: boolean;
  /** What is held meanwhile. */
  readonly bytes: number;
  /** How long it may be held; undefined: until it is taken back. */
  readonly holdMs: number | undefined;
  ready(connection: OwnConnection): void;
  /** It was held for too long, or there is no room to hold it. */
  failed(why: string): void;
}

interface Waiting extends Want {
  failures: number;
  problem: string;
  isTold: boolean;
  opening: OwnConnection | undefined;
  endPause: (() => void) | undefined;
  endHold: (() => void) | undefined;
}

interface Idle {
  readonly connection: OwnConnection;
  readonly sinceMs: number;
}

const IDLE_MS = 15_000;
/** Per partition. */
const IDLE_MAX = 8;
const RECONNECT_MS_MAX = 500;
const CLOSED = "the client was closed";

export class OwnConnectionPool {
  readonly context: LaneContext;
  /** By partition: counts its masters. What was written under an earlier number may be gone. */
  readonly terms: Int32Array;
  readonly #masters: (NodeTarget | undefined)[];
  readonly #waiting = new Set<Waiting>();
  readonly #lent = new Set<OwnConnection>();
  #idle: Idle[] = [];
  readonly #broken = new Map<string, ConnectionIdentity[]>();
  readonly #endWatch: () => void;
  #endSweep: (() => void) | undefined;
  #isClosed = false;

  constructor(context: LaneContext) {
    this.context = context;
    const { partitionCount } = context.topology;
    this.terms = new Int32Array(partitionCount).fill(1);
    this.#masters = new Array<NodeTarget | undefined>(partitionCount).fill(undefined);
    this.#readMasters();
    this.#endWatch = context.topology.onChange(() => {
      this.#changed();
    });
  }

  /** Gives the function that takes the wish back; after ready() or failed() it does nothing. */
  take(want: Want): () => void {
    const waiting: Waiting = {
      ...want,
      ...{ failures: 0, problem: "", isTold: false },
      ...{ opening: undefined, endPause: undefined, endHold: undefined },
    };
    if (this.#isClosed) {
      want.failed(CLOSED);
      return () => undefined;
    }
    this.#waiting.add(waiting);
    this.context.heldBytes += want.bytes;
    this.#serve(waiting);
    if (!this.#waiting.has(waiting)) return () => undefined;
    if (want.bytes > 0 && this.context.heldBytes > this.context.holdBytesMax) {
      this.#fail(waiting, "hold-bytes is used up by requests whose partitions can't be served");
    } else if (want.holdMs !== undefined) {
      waiting.endHold = this.context.clock.after(want.holdMs, () => {
        this.#fail(waiting, this.#reason(waiting));
      });
    }
    return () => {
      if (this.#settle(waiting)) waiting.opening?.destroy("nobody waits for it any more");
    };
  }

  /** Takes back a connection on which nothing is left: no subscription, no question. */
  give(connection: OwnConnection): void {
    this.#lent.delete(connection);
    connection.holder = undefined;
    if (!connection.isOpen) return;
    const { partition } = connection;
    const alike = this.#idle.filter((idle) => idle.connection.partition === partition);
    const isMaster = this.isMasters(connection);
    if (this.#isClosed || !isMaster || connection.isAsking || alike.length >= IDLE_MAX) {
      connection.destroy("it is not needed");
      return;
    }
    // One that breaks while it is idle is found out when it is looked for.
    this.#idle.push({ connection, sinceMs: this.context.clock.nowMs() });
    this.#sweepLater();
  }

  /** Ends a lent connection. What is still asked on it has an unknown fate, and may be executed later unless `isClean`. */
  end(connection: OwnConnection, cause: string, isClean: boolean): void {
    this.#lent.delete(connection);
    connection.holder = undefined;
    connection.destroy(cause);
    if (isClean || connection.identity === undefined) return;
    const place = placeOf(connection.target);
    this.#broken.set(place, [...(this.#broken.get(place) ?? []), connection.identity]);
  }

  close(): void {
    this.#isClosed = true;
    this.#endWatch();
    this.#endSweep?.();
    for (const waiting of [...this.#waiting]) {
      waiting.opening?.destroy(CLOSED);
      this.#fail(waiting, CLOSED);
    }
    for (const { connection } of this.#idle) connection.destroy(CLOSED);
    for (const connection of [...this.#lent]) connection.destroy(CLOSED);
    this.#idle = [];
  }

  /** Its node is the partition's master now. */
  isMasters(connection: OwnConnection): boolean {
    return isSame(connection.target, this.#masters[connection.partition]);
  }

  #changed(): void {
    this.#readMasters();
    for (const { connection } of this.#idle) {
      if (!this.isMasters(connection)) connection.destroy("it lost its role");
    }
    this.#idle = this.#idle.filter(({ connection }) => this.isMasters(connection));
    for (const connection of [...this.#lent]) {
      if (!this.isMasters(connection)) connection.holder?.masterGone();
    }
    for (const waiting of [...this.#waiting]) {
      waiting.endPause?.();
      waiting.endPause = undefined;
      this.#serve(waiting);
    }
  }

  #readMasters(): void {
    const { topology } = this.context;
    for (let partition = 0; partition < this.#masters.length; partition++) {
      const target = topology.master(partition);
      const before = this.#masters[partition];
      // Counted when the old one is gone, so that what is held until the new one is there belongs to the new one.
      if (before !== undefined && !isSame(before, target)) {
        this.terms[partition] = (this.terms[partition] ?? 0) + 1;
      }
      this.#masters[partition] = target;
    }
  }

  #serve(waiting: Waiting): void {
    const target = this.#masters[waiting.partition];
    const mayGo = target !== undefined && (waiting.isRead || this.context.topology.mayWrite());
    if (!mayGo || waiting.failures > 0) this.#tell(waiting);
    if (waiting.opening !== undefined || waiting.endPause !== undefined || !mayGo) return;
    // Idle ones know nothing of a connection that must be ended first.
    const isClean = !this.#broken.has(placeOf(target));
    const found = this.#idle.findIndex(
      ({ connection }) => isClean && connection.isOpen && isSame(connection.target, target),
    );
    const [idle] = found === -1 ? [] : this.#idle.splice(found, 1);
    if (idle === undefined) this.#open(waiting, target);
    else this.#lend(waiting, idle.connection);
  }

  /** Of commands; subscriptions just come back. */
  #tell(waiting: Waiting): void {
    if (waiting.isTold || waiting.bytes === 0) return;
    waiting.isTold = true;
    this.context.onHeld(waiting.partition, this.#reason(waiting));
  }

  #open(waiting: Waiting, target: NodeTarget): void {
    const { clock, connectTimeoutMs, tls } = this.context;
    const predecessors = this.#broken.get(placeOf(target)) ?? [];
    const options = { clock, connectTimeoutMs, tls, predecessors };
    const connection = new OwnConnection(target, waiting.partition, options, (why) => {
      waiting.opening = undefined;
      if (why === undefined) {
        this.#forget(target, predecessors);
        this.#opened(waiting, connection);
      } else {
        this.context.onFailure(waiting.partition, target, why);
        this.#failedToOpen(waiting, why);
      }
    });
    waiting.opening = connection;
  }

  #failedToOpen(waiting: Waiting, why: string): void {
    if (!this.#waiting.has(waiting)) return;
    waiting.problem = why;
    waiting.failures++;
    this.#tell(waiting);
    const delayMs = Math.min(20 * 2 ** (waiting.failures - 1), RECONNECT_MS_MAX);
    waiting.endPause = this.context.clock.after(delayMs, () => {
      waiting.endPause = undefined;
      this.#serve(waiting);
    });
  }

  #opened(waiting: Waiting, connection: OwnConnection): void {
    if (!this.#waiting.has(waiting)) {
      this.give(connection);
      return;
    }
    if (this.isMasters(connection) && (waiting.isRead || this.context.topology.mayWrite())) {
      this.#lend(waiting, connection);
      return;
    }
    this.give(connection);
    this.#serve(waiting);
  }

  /** They were ended at their node, or a process that was started since has none of them. */
  #forget(target: NodeTarget, ended: readonly ConnectionIdentity[]): void {
    const place = placeOf(target);
    const left = (this.#broken.get(place) ?? []).filter((identity) => !ended.includes(identity));
    if (left.length > 0) this.#broken.set(place, left);
    else this.#broken.delete(place);
  }

  #lend(waiting: Waiting, connection: OwnConnection): void {
    this.#settle(waiting);
    this.#lent.add(connection);
    waiting.ready(connection);
  }

  #fail(waiting: Waiting, why: string): void {
    if (!this.#settle(waiting)) return;
    waiting.opening?.destroy("nobody waits for it any more");
    waiting.failed(why);
  }

  /** False when it was settled before. */
  #settle(waiting: Waiting): boolean {
    if (!this.#waiting.delete(waiting)) return false;
    this.context.heldBytes -= waiting.bytes;
    waiting.endHold?.();
    waiting.endPause?.();
    return true;
  }

  #sweepLater(): void {
    this.#endSweep ??= this.context.clock.after(IDLE_MS, () => {
      this.#endSweep = undefined;
      const oldMs = this.context.clock.nowMs() - IDLE_MS;
      const isOld = ({ connection, sinceMs }: Idle): boolean =>
        sinceMs <= oldMs || !connection.isOpen;
      for (const idle of this.#idle) if (isOld(idle)) idle.connection.destroy("it is not needed");
      this.#idle = this.#idle.filter((idle) => !isOld(idle));
      if (this.#idle.length > 0) this.#sweepLater();
    });
  }

  #reason({ partition, isRead, problem }: Waiting): string {
    const mayGo = isRead || this.context.topology.mayWrite();
    return whyHeld({ partition, target: this.#masters[partition], problem, mayGo });
  }
}
