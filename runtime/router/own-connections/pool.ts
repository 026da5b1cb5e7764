// pool.ts: the connections that serve one client at a time, of one router: lent, taken back, closed.
//
//   take(want) -> an idle one of that partition's master, or a new one; held while there is no master
//   give(connection) -> idle for a while -> closed
//
// The rules of holding are the lanes': bounded in time by hold-for and in bytes by hold-bytes; nothing that writes leaves
// while no majority of the status nodes confirms the view. A connection that broke while something was on it is ended at
// its node before another one to the same place is lent: a paused server would still execute what it holds (seen).
import type { View } from "../../core/view.ts";
import { encodeCommand, type Protocol } from "../../resp/encode.ts";
import type { ConnectionIdentity } from "../../route/node-greeting.ts";
import { isSameTarget, placeOf, type BackendTarget } from "../lanes/backend-connection.ts";
import { masterNode, targetOf, type LaneContext } from "../lanes/lane-context.ts";
import { OwnConnection } from "./connection.ts";

/** Someone's wish for a connection. */
export interface Want {
  readonly partition: number;
  readonly protocol: Protocol;
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
  opening: OwnConnection | undefined;
  endPause: (() => void) | undefined;
  endHold: (() => void) | undefined;
}

interface Idle {
  readonly connection: OwnConnection;
  readonly sinceMs: number;
}

const IDLE_MS = 15_000;
/** Per master and protocol. */
const IDLE_MAX = 32;
const RECONNECT_MS_MAX = 500;

export class OwnConnectionPool {
  readonly context: LaneContext;
  /** By partition: counts its masters. What was written under an earlier number may be gone. */
  readonly terms: Int32Array;
  readonly #view: () => View | undefined;
  readonly #masters: (BackendTarget | undefined)[];
  readonly #waiting = new Set<Waiting>();
  readonly #lent = new Set<OwnConnection>();
  #idle: Idle[] = [];
  readonly #broken = new Map<string, ConnectionIdentity[]>();
  #endSweep: (() => void) | undefined;
  #isClosed = false;

  constructor(context: LaneContext, partitions: number, view: () => View | undefined) {
    this.context = context;
    this.#view = view;
    this.terms = new Int32Array(partitions).fill(1);
    this.#masters = new Array<BackendTarget | undefined>(partitions).fill(undefined);
    this.#readMasters();
  }

  masterOf(partition: number): BackendTarget | undefined {
    return this.#masters[partition];
  }

  /** The first partition that has a master, for what may go to any; 0 when none has. */
  anyMaster(): number {
    return Math.max(
      this.#masters.findIndex((master) => master !== undefined),
      0,
    );
  }

  /** Gives the function that takes the wish back; after ready() or failed() it does nothing. */
  take(want: Want): () => void {
    const waiting: Waiting = {
      ...want,
      ...{ failures: 0, problem: "", opening: undefined, endPause: undefined, endHold: undefined },
    };
    if (this.#isClosed) {
      want.failed("the router is closing");
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
      if (this.#settle(waiting)) waiting.opening?.destroy("its client is gone");
    };
  }

  /** Takes back a connection on which nothing is left: no MULTI, no WATCH, no subscription, no question. */
  give(connection: OwnConnection): void {
    this.#lent.delete(connection);
    connection.holder = undefined;
    if (!connection.isOpen) return;
    const alike = this.#idle.filter(
      (idle) => idle.connection.isOpen && isAlike(idle.connection, connection),
    );
    const isMaster = isSameTarget(connection.target, this.masterOf(connection.partition));
    if (this.#isClosed || !isMaster || connection.isAsking || alike.length >= IDLE_MAX) {
      connection.destroy("it is not needed");
      return;
    }
    this.#idle.push({ connection, sinceMs: this.context.clock.nowMs() });
    this.#sweepLater();
  }

  /** Ends a lent connection. What is still asked on it has an unknown fate. */
  end(connection: OwnConnection, cause: string): void {
    this.#lent.delete(connection);
    connection.holder = undefined;
    connection.destroy(cause);
  }

  /** A connection ended with something on it that may still be executed. */
  noteBroken({ target, identity }: OwnConnection): void {
    if (identity === undefined) return;
    const place = placeOf(target);
    const broken = this.#broken.get(place);
    if (broken === undefined) this.#broken.set(place, [identity]);
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
    for (const connection of [...this.#lent]) {
      const isMaster = isSameTarget(connection.target, this.masterOf(connection.partition));
      if (!isMaster) connection.holder?.masterGone();
    }
    for (const waiting of [...this.#waiting]) {
      waiting.endPause?.();
      waiting.endPause = undefined;
      this.#serve(waiting);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#endSweep?.();
    for (const waiting of [...this.#waiting]) {
      waiting.opening?.destroy("the router is closing");
      this.#fail(waiting, "the router is closing");
    }
    for (const { connection } of this.#idle) connection.destroy("the router is closing");
    for (const connection of [...this.#lent]) connection.destroy("the router is closing");
    this.#idle = [];
  }

  #readMasters(): void {
    const view = this.#view();
    for (let partition = 0; partition < this.#masters.length; partition++) {
      const node = masterNode(view, partition);
      const target = node === undefined ? undefined : targetOf(node);
      const before = this.#masters[partition];
      // Counted when the old one is gone, so that what is held until the new one is there belongs to the new one.
      if (before !== undefined && !isSameTarget(before, target)) {
        this.terms[partition] = (this.terms[partition] ?? 0) + 1;
      }
      this.#masters[partition] = target;
    }
  }

  #serve(waiting: Waiting): void {
    const { partition, protocol } = waiting;
    const target = this.masterOf(partition);
    const mayGo = target !== undefined && (waiting.isRead || this.context.isConfirmed());
    if (waiting.opening !== undefined || waiting.endPause !== undefined || !mayGo) return;
    // Idle ones know nothing of a connection that must be ended first.
    const isClean = !this.#broken.has(placeOf(target));
    const found = this.#idle.findIndex(
      ({ connection }) =>
        isClean &&
        connection.isOpen &&
        connection.protocol === protocol &&
        isSameTarget(target, connection.target),
    );
    const [idle] = found === -1 ? [] : this.#idle.splice(found, 1);
    if (idle === undefined) this.#open(waiting, target);
    else this.#lend(waiting, idle.connection);
  }

  #open(waiting: Waiting, target: BackendTarget): void {
    const { clock, credentials, tls } = this.context;
    const counters = this.context.stats.node(target.name, waiting.partition);
    const options = { protocol: waiting.protocol, credentials, clock, tls, counters };
    const connection = new OwnConnection(target, waiting.partition, options, (isOpen, cause) => {
      if (isOpen) {
        this.#endBroken(waiting, connection);
        return;
      }
      this.#failedToOpen(waiting, cause);
    });
    waiting.opening = connection;
  }

  #failedToOpen(waiting: Waiting, cause: string): void {
    waiting.opening = undefined;
    if (!this.#waiting.has(waiting)) return;
    waiting.problem = cause;
    waiting.failures++;
    const delayMs = Math.min(20 * 2 ** (waiting.failures - 1), RECONNECT_MS_MAX);
    waiting.endPause = this.context.clock.after(delayMs, () => {
      waiting.endPause = undefined;
      this.#serve(waiting);
    });
  }

  /** Ends, at their node, the connections that broke there, and only then goes on. A process that was started since has
      none of them. */
  #endBroken(waiting: Waiting, connection: OwnConnection): void {
    const broken = new Set(this.#broken.get(placeOf(connection.target)));
    const known = [...broken].filter(({ runId }) => runId === connection.identity?.runId);
    const done = (): void => {
      this.#forget(connection.target, broken);
      connection.holder = undefined;
      waiting.opening = undefined;
      this.#opened(waiting, connection);
    };
    if (known.length === 0) {
      done();
      return;
    }
    connection.holder = {
      broken: (cause) => {
        this.#failedToOpen(waiting, cause);
      },
      masterGone: () => undefined,
    };
    const kills = known.map(({ id }) => encodeCommand(["CLIENT", "KILL", "ID", String(id)]));
    connection.ask(Buffer.concat(kills), kills.length, done);
  }

  #opened(waiting: Waiting, connection: OwnConnection): void {
    if (!this.#waiting.has(waiting)) {
      this.give(connection);
      return;
    }
    const isMaster = isSameTarget(connection.target, this.masterOf(waiting.partition));
    if (isMaster && (waiting.isRead || this.context.isConfirmed())) {
      this.#lend(waiting, connection);
      return;
    }
    this.give(connection);
    this.#serve(waiting);
  }

  #forget(target: BackendTarget, ended: ReadonlySet<ConnectionIdentity>): void {
    const place = placeOf(target);
    const left = (this.#broken.get(place) ?? []).filter((identity) => !ended.has(identity));
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
    waiting.opening?.destroy("its client waits no longer");
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
      for (const { connection, sinceMs } of this.#idle) {
        if (sinceMs <= oldMs || !connection.isOpen) connection.destroy("it is not needed");
      }
      this.#idle = this.#idle.filter((idle) => idle.sinceMs > oldMs && idle.connection.isOpen);
      if (this.#idle.length > 0) this.#sweepLater();
    });
  }

  #reason({ partition, isRead, problem }: Waiting): string {
    const target = this.masterOf(partition);
    if (target === undefined) return `partition ${partition} has no master`;
    if (problem !== "")
      return `partition ${partition} can't be served by ${target.name}: ${problem}`;
    if (!isRead && !this.context.isConfirmed()) {
      return `partition ${partition}: no majority of the status nodes confirms its master`;
    }
    return `partition ${partition}: its master ${target.name} does not answer`;
  }
}

function isAlike(a: OwnConnection, b: OwnConnection): boolean {
  return a.partition === b.partition && a.protocol === b.protocol;
}
