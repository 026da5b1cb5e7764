// rules.ts: the few rules of judgement that no loss hangs on more than on these, in one record. Pure.
// Whoever decides takes them as an input, so that the simulation can break one at a time in production's own code and
// prove that its checkers see what comes of it (test/simulation/mistakes.ts). Everybody else decides by RULES.
import { majorityOf } from "../../core/cluster.ts";
import type { NodeView } from "../../core/view.ts";
import { isDetached, type NodeInfo } from "./info.ts";

/** Where a node stands on the history that it follows, and how far it followed the one before. */
export type HistoryPlace = Pick<
  NodeInfo,
  "replicationId" | "offset" | "replicationId2" | "secondOffset"
>;

/** A run of a node, and where it stands. */
export type RunPlace = Pick<NodeInfo, "runId" | "replicationId" | "offset">;

/** What a fence and a drain are timed by. */
export interface FenceTimes {
  /** For how long a chosen view has named no master, by this alpha's clock; 0 when none is chosen yet. */
  readonly vacantForMs: number;
  /** How long routers act on a view that they have confirmed. */
  readonly leaseMs: number;
  readonly downAfterMs: number;
  /** Replicas that must hold a write before a router acknowledges it. */
  readonly ackReplicas: number;
}

export interface Rules {
  /** How many of so many status nodes choose a value. */
  readonly quorumOf: (statusNodeCount: number) => number;
  /** Whether an alpha whose lease ends then may act in this very moment. */
  readonly mayAct: (nowMs: number, leaseEndMs: number) => boolean;
  /** How many of a lost master's replicas must count before one takes its place. */
  readonly neededReplicas: (replicaCount: number, ackReplicas: number) => number;
  /** Which of these offsets holds the most; any number when there are none. */
  readonly furthestOf: (offsets: readonly number[]) => number;
  /** Whether what a replica holds can't change any more, so that it may be compared. */
  readonly standsStill: (info: Pick<NodeInfo, "following">) => boolean;
  /** How far a node is on that history; undefined when it does not lie on it. */
  readonly offsetOn: (replicationId: string | null, info: HistoryPlace) => number | undefined;
  /** Whether a replica runs as it did when it was last in sync; null: it never was. */
  readonly isSameRun: (syncedRunId: string | null, runId: string) => boolean;
  /** Whether nobody can write to the old master any more. */
  readonly isFenced: (times: FenceTimes, isKnownDead: boolean) => boolean;
  /** Whether the lost master's replicas may still get what it acknowledged, and are not to be detached yet. */
  readonly mayStillHear: (times: FenceTimes, isKnownDead: boolean) => boolean;
  /** Whether the view says what became of all that a rogue master holds. */
  readonly isRescued: (node: Pick<NodeView, "rescue">, info: RunPlace) => boolean;
}

/** Added to the lease of the routers: their clocks and the alpha's run at slightly different speeds. */
const LEASE_MARGIN = 0.1;

/** Those that hold. */
export const RULES: Rules = {
  quorumOf: majorityOf,
  mayAct: (nowMs, leaseEndMs) => nowMs < leaseEndMs,
  // R-k+1 of R; failover.ts says why.
  neededReplicas: (replicaCount, ackReplicas) => Math.max(1, replicaCount - ackReplicas + 1),
  furthestOf: (offsets) => Math.max(...offsets),
  standsStill: isDetached,
  offsetOn,
  // After a restart it may have lost what it acknowledged.
  isSameRun: (syncedRunId, runId) => syncedRunId === runId,
  isFenced,
  mayStillHear,
  isRescued,
};

/**
 * 1. It is the one that the node follows.
 * 2. It is the one that the node followed before it was promoted, by an alpha or by hand: as far as it was the same. What
 *    it took as a master of its own is more than anybody else has, and of no worth to those who wrote to the other.
 */
function offsetOn(replicationId: string | null, info: HistoryPlace): number | undefined {
  const { offset, replicationId2, secondOffset } = info;
  if (info.replicationId === replicationId) return offset;
  const isSecond = replicationId2 === replicationId && secondOffset !== undefined;
  return isSecond ? Math.min(offset, secondOffset - 1) : undefined;
}

/**
 * 1. The old master is known dead, or
 * 2. a view without it has been chosen for longer than any router acts on the one before.
 */
function isFenced({ vacantForMs, leaseMs }: FenceTimes, isKnownDead: boolean): boolean {
  return isKnownDead || vacantForMs > leaseMs * (1 + LEASE_MARGIN);
}

/**
 * 1. The old master is known dead: they read to the end what it had sent them. Redis says that the link is up until it
 *    has read the end of the stream, and detaching drops the unread rest; one that was paused or slow may have megabytes
 *    of it in its socket. Bounded by half of down-after, for no end comes from a host that is gone.
 * 2. It may live, and with ack-replicas 0 routers that have not heard yet may write to it until it is fenced: they follow
 *    it until then. With ack-replicas k they are detached at once, for that is the fence.
 */
function mayStillHear(times: FenceTimes, isKnownDead: boolean): boolean {
  if (isKnownDead) return times.vacantForMs < times.downAfterMs / 2;
  return times.ackReplicas === 0 && !isFenced(times, isKnownDead);
}

/**
 * Whether the view says what became of all that this master holds.
 * 1. Another run's rescue says nothing of this one.
 * 2. kept: it follows nobody until it restarts, so nothing that it holds is lost by detaching it.
 * 3. saved: on the history that was saved, and not further. With each REPLICAOF NO ONE Redis begins a history, so what it
 *    took since somebody made it master again lies on none that was saved; and beyond the offset lies what it took when
 *    the pause had ended before it was detached. A rescue in a view of an older version says neither: once more.
 */
function isRescued({ rescue }: Pick<NodeView, "rescue">, info: RunPlace): boolean {
  if (rescue?.runId !== info.runId) return false;
  if (rescue.kind === "kept") return true;
  const { upTo } = rescue;
  return upTo?.replicationId === info.replicationId && info.offset <= upTo.offset;
}
