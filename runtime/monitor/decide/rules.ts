// rules.ts: the rules that protect writes from loss, in one record. Pure.
// The deciders take them as an input, so that the simulation can break one rule at a time in the production code and prove
// that its checkers notice (test/simulation/mistakes.ts). Everywhere else they are RULES.
import { majorityOf } from "../../core/cluster.ts";
import type { CutMark } from "../../core/cut.ts";
import type { FollowedMaster, HistoryMark, NodeView } from "../../core/view.ts";
import { isDetached, type NodeInfo } from "./nodes/info.ts";
import type { LastSeen, NodeObservation } from "./nodes/observations.ts";
import { selfDoubtOf, type SelfDoubt, type SelfDoubtInput } from "./nodes/self-doubt.ts";

/** A node's offset on its history, and on the history before its last promotion. */
export type HistoryPlace = Pick<
  NodeInfo,
  "replicationId" | "offset" | "replicationId2" | "secondOffset"
>;

/** A process of a node (its run id), and its offset. */
export type RunPlace = Pick<NodeInfo, "runId" | "replicationId" | "offset">;

/** Times that decide fencing and draining. */
export interface FenceTimes {
  /** How long chosen views have named no master, by this alpha's clock; 0 when none is chosen yet. */
  readonly withoutMasterForMs: number;
  /** How long chosen views have allowed no write to the last master (no master, or suspended), by this alpha's clock. */
  readonly heldForMs: number;
  /** How long routers act on a confirmed view. */
  readonly leaseMs: number;
  readonly downAfterMs: number;
  /** Replicas that must hold a write before a router acknowledges it. */
  readonly ackReplicas: number;
}

export type SuspensionTimes = Pick<FenceTimes, "leaseMs" | "downAfterMs" | "ackReplicas">;

export interface Rules {
  /** How many status nodes choose a value. */
  readonly quorumOf: (statusNodeCount: number) => number;
  /** Whether an alpha whose lease ends at `leaseEndMs` may act now. */
  readonly mayAct: (nowMs: number, leaseEndMs: number) => boolean;
  /** How many replicas of a lost master must count before one is promoted. */
  readonly neededReplicas: (replicaCount: number, ackReplicas: number) => number;
  /** The offset that holds the most data; any number for an empty list. */
  readonly furthestOf: (offsets: readonly number[]) => number;
  /** Whether a replica's data can't change any more, so that its offset may be compared. */
  readonly standsStill: (info: Pick<NodeInfo, "following">) => boolean;
  /** A node's offset on the history `replicationId`; undefined when its data is not of that history. */
  readonly offsetOn: (replicationId: string | null, info: HistoryPlace) => number | undefined;
  /** Whether a replica has not restarted since it was last in sync; syncedRunId null: it never was. */
  readonly isSameRun: (syncedRunId: string | null, runId: string) => boolean;
  /** Whether routers must buffer the writes of a master with an outstanding answer. */
  readonly isSuspended: (
    observation: NodeObservation | undefined,
    times: SuspensionTimes,
  ) => boolean;
  /** Whether no client can write to the old master any more. */
  readonly isFenced: (times: FenceTimes, isKnownDead: boolean) => boolean;
  /** Whether the lost master's replicas may still receive acknowledged writes, and must not be detached yet. */
  readonly mayStillHear: (times: FenceTimes, isKnownDead: boolean) => boolean;
  /** Whether an alpha that can't reach most data nodes may call them dead. */
  readonly selfDoubtOf: (input: SelfDoubtInput) => SelfDoubt;
  /** Whether the pause of a rogue master is ended even if its partition has lost its master meanwhile. */
  readonly endsPauses: boolean;
  /** With ack-replicas 0: whether a last master that is back with its data may be promoted while other nodes are away or
      have more keys. */
  readonly mayReturnAlone: (input: ReturnInput, last: Holder, others: OtherHolders) => boolean;
  /** Whether a partition may drop its nodes' data and follow a master of another system, or go back to it. */
  readonly mayFollow: (
    times: FenceTimes,
    following: Pick<FollowedMaster, "isBack">,
    infos: readonly Pick<NodeInfo, "keys">[],
  ) => boolean;
  /** Whether a node has all data of the followed master. */
  readonly reachesMark: (info: NodeInfo, mark: HistoryMark) => boolean;
  /** Whether the view records the rescue of all data of a rogue master. */
  readonly isRescued: (node: Pick<NodeView, "rescue">, info: RunPlace) => boolean;
  /** Whether a master executed no write between its two samples. */
  readonly isStill: (first: CutMark, second: CutMark) => boolean;
  /** Whether a cut takes a first sample of every master before the second sample of any. */
  readonly samplesAllFirst: boolean;
  /** A cut whose first samples take longer is void: the first pauses are about to end. */
  readonly firstSamplesWithinMs: number;
}

/** A node and its number of keys. */
export interface Holder {
  readonly name: string;
  readonly info: Pick<NodeInfo, "keys">;
}

export interface OtherHolders {
  readonly ready: readonly Holder[];
  readonly brokenDisk: readonly Holder[];
  readonly loading: readonly Holder[];
  readonly away: readonly string[];
}

export interface ReturnInput {
  /** How long this alpha has led. */
  readonly ledForMs: number;
  readonly downAfterMs: number;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
}

/** A part of the lease, added to it: the clocks of routers and the alpha run at slightly different speeds. */
const LEASE_MARGIN = 0.1;

export const RULES: Rules = {
  quorumOf: majorityOf,
  mayAct: (nowMs, leaseEndMs) => nowMs < leaseEndMs,
  // R-k+1 of R; failover.ts explains why.
  neededReplicas: (replicaCount, ackReplicas) => Math.max(1, replicaCount - ackReplicas + 1),
  furthestOf: (offsets) => Math.max(...offsets),
  standsStill: isDetached,
  offsetOn,
  // A restarted replica may have lost writes that it acknowledged.
  isSameRun: (syncedRunId, runId) => syncedRunId === runId,
  isSuspended,
  isFenced,
  mayStillHear,
  selfDoubtOf,
  endsPauses: true,
  mayReturnAlone,
  mayFollow,
  reachesMark,
  isRescued,
  isStill,
  samplesAllFirst: true,
  firstSamplesWithinMs: 450,
};

/**
 * 1. The history that the node follows: its offset.
 * 2. The history that it followed before it was promoted, by an alpha or by hand: the offset at the promotion. Writes that
 *    it accepted since then as a second master are on no other node, and the real master's clients never wrote them.
 */
function offsetOn(replicationId: string | null, info: HistoryPlace): number | undefined {
  const { offset, replicationId2, secondOffset } = info;
  if (info.replicationId === replicationId) return offset;
  const isSecond = replicationId2 === replicationId && secondOffset !== undefined;
  return isSecond ? Math.min(offset, secondOffset - 1) : undefined;
}

/**
 * With ack-replicas 0, a silent master is replaced only when the routers' lease has ended. To save time, routers buffer
 * writes (suspended) while the monitors still wait for the master's answer.
 * 1. Only when the rest of down-after is not longer than the lease and the time for the monitors' agreement.
 * 2. When the master is silent to this monitor and no majority agrees: for half of down-after more. Others may reach it.
 */
function isSuspended(
  observation: NodeObservation | undefined,
  { leaseMs, downAfterMs, ackReplicas }: SuspensionTimes,
): boolean {
  if (observation === undefined || ackReplicas > 0) return false;
  const { silentInMs, silentForMs } = observation;
  if (silentInMs !== undefined) return silentInMs <= leaseMs * (1 + LEASE_MARGIN) + leaseMs / 5;
  return silentForMs !== undefined && silentForMs < downAfterMs / 2;
}

/**
 * 1. The old master is known dead, or
 * 2. chosen views have allowed no write to it for longer than any router acts on an older view.
 */
function isFenced({ heldForMs, leaseMs }: FenceTimes, isKnownDead: boolean): boolean {
  return isKnownDead || heldForMs > leaseMs * (1 + LEASE_MARGIN);
}

/**
 * 1. The old master is known dead: its replicas read the rest of its stream. Redis reports the link as up until it has read
 *    the end of the stream, and detaching drops the unread rest. A replica that was paused or slow may have megabytes of it
 *    in its socket. Limited to half of down-after: when the host is gone the stream never ends.
 * 2. It may be alive. With ack-replicas 0 routers with an older view may write to it until it is fenced: its replicas
 *    follow it until then. With ack-replicas k they are detached at once, because that fences the master.
 */
function mayStillHear(times: FenceTimes, isKnownDead: boolean): boolean {
  if (isKnownDead) return times.withoutMasterForMs < times.downAfterMs / 2;
  return times.ackReplicas === 0 && !isFenced(times, isKnownDead);
}

/**
 * 1. Other nodes had down-after to answer, and none is loading.
 * 2. No other node has more keys than the last master, unless its own lastSeen record has as many: a replica may have been
 *    stopped before its master deleted keys. More keys than both show writes after the record: the record is older than
 *    the data, for example because status nodes were restored from copies.
 */
function mayReturnAlone(
  { ledForMs, downAfterMs, lastSeen }: ReturnInput,
  last: Holder,
  { ready, brokenDisk, loading, away }: OtherHolders,
): boolean {
  if (loading.length > 0) return false;
  if (away.length > 0 && ledForMs < downAfterMs) return false;
  return [...ready, ...brokenDisk].every(
    ({ name, info }) => info.keys <= last.info.keys || info.keys <= (lastSeen.get(name)?.keys ?? 0),
  );
}

/**
 * 1. No router sends a write to the partition's last master any more.
 * 2. All nodes that answer are empty. Not needed when the partition goes back: the old master has their data.
 */
function mayFollow(
  times: FenceTimes,
  { isBack }: Pick<FollowedMaster, "isBack">,
  infos: readonly Pick<NodeInfo, "keys">[],
): boolean {
  return isFenced(times, false) && (isBack === true || infos.every(({ keys }) => keys === 0));
}

/** On the followed master's history, at its offset or further, loaded, with a disk that takes writes. */
function reachesMark(info: NodeInfo, { replicationId, offset }: HistoryMark): boolean {
  const isSound = info.role === "replica" && !info.isLoading && !info.isEmptied && info.isDiskWell;
  return isSound && info.replicationId === replicationId && info.offset >= offset;
}

/**
 * Whether the view records the rescue of all data of this master.
 * 1. The rescue of another process (run id) proves nothing about this one.
 * 2. kept: the node follows no master until it restarts, so detaching it loses nothing.
 * 3. saved: the node is on the saved history, not beyond the saved offset. Redis starts a new history with each REPLICAOF
 *    NO ONE, so writes since somebody made it master again are on a history that was not saved. Writes that arrived after
 *    the pause, before it was detached, are beyond the offset. A rescue without `upTo` (from an older version) is repeated.
 */
function isRescued({ rescue }: Pick<NodeView, "rescue">, info: RunPlace): boolean {
  if (rescue?.runId !== info.runId) return false;
  if (rescue.kind === "kept") return true;
  const { upTo } = rescue;
  return upTo?.replicationId === info.replicationId && info.offset <= upTo.offset;
}

/** A master sends this to its replicas every ten seconds, even while writes are paused. Every write is longer. */
const PING_BYTES = "*1\r\n$4\r\nPING\r\n".length;

/** The history is the same, and the offset has not moved, or only by one PING. */
function isStill(first: CutMark, second: CutMark): boolean {
  const movedBytes = second.offset - first.offset;
  const isSame = first.replicationId === second.replicationId;
  return isSame && (movedBytes === 0 || movedBytes === PING_BYTES);
}
