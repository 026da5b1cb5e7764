// handover.ts: a planned change of master, step by step. Pure.
//
//   wish --a replica in sync answers--> paused --`to` has all data--> stepped down --the master reports replica, and
//                                         |                            |       `to` has all its data--> `to` is promoted
//                                         | timeout, or `to` or the    | the same
//                                         v master was lost            v
//                                       undone: unpause              undone: the old master is promoted
//
// The view records neither that the master steps down nor that `to` is promoted: clients wait meanwhile, and a majority of the
// status nodes would have to store it first. An alpha that takes over reads both from the nodes: a detached node has stepped
// down, and a `to` that is master with all data of a detached node was promoted.
//
// Invariant: `to` is promoted only after the old master reported that it is detached, and when `to` has every byte of the
// old master's stream. So no acknowledged write is lost, however long the pause lasted. The pause only shortens the time
// without a master. (Seen on Redis 7.0.15: a master that is detached by REPLICAOF keeps its offset, its replication id and
// the streams to its replicas. Paused writes get READONLY, reads MASTERDOWN: neither was executed, and a router sends
// them again.)
// Until then the view names the old master. A router that reads "no master" waits only a moment for outstanding replies,
// so paused requests would look lost to it.
import type { Handover, NodeView, PartitionView } from "../../../core/view.ts";
import { without } from "../../../core/without.ts";
import { isFollowing } from "../nodes/data-nodes.ts";
import { isDetached } from "../nodes/info.ts";
import { isPausedAt, type Pause } from "../pauses.ts";
import { RULES } from "../rules.ts";
import type { NodeHealth } from "../nodes/node-health.ts";

export interface HandoverInput {
  readonly partition: PartitionView;
  /** Its data nodes, first to last. */
  readonly nodes: readonly NodeView[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  /** Nodes whose last INFO may be older than an action on them, or that an action may still reach. */
  readonly stale: ReadonlySet<string>;
  /** The node that is to become master, when a handover is due and the node can serve. */
  readonly wish: string | undefined;
  readonly nowMs: number;
  /** When this alpha first saw the handover under way. */
  readonly sinceMs: number;
  readonly attemptMs: number;
}

export type HandoverStep =
  /** No handover is under way (any more): the usual rules decide about `partition`. */
  | { readonly kind: "usual"; readonly partition: PartitionView; readonly failed: string }
  /** A handover is under way: `partition` is the next view. `promotes`: the node that may be promoted under it now. */
  | { readonly kind: "under-way"; readonly partition: PartitionView; readonly promotes?: string };

type Up = Extract<NodeHealth, { kind: "up" }>;

/** The time limit of one attempt. A pause lasts twice as long, so it delays requests by at most half of holdForMs. */
export function attemptMsOf(settings: { downAfterMs: number; holdForMs: number }): number {
  return Math.min(2 * settings.downAfterMs, settings.holdForMs / 4);
}

/**
 * The nodes that stay in the view as they are. A handover is under way, and stays so: what its nodes report meanwhile (a master
 * that steps down, replicas without a master) is recorded after it, because every view costs a round of the status nodes, for
 * which the clients would wait too. While the old master is silent the handover can't end: then only `to` stays as it is.
 */
export function keptNodes(
  {
    partition: before,
    nodes,
    nodeHealth,
  }: Pick<HandoverInput, "partition" | "nodes" | "nodeHealth">,
  step: HandoverStep | undefined,
): readonly NodeView[] {
  const handover = before.handover ?? null;
  const goesOn = step?.kind === "under-way" && (step.partition.handover ?? null) !== null;
  if (handover === null || !goesOn) return [];
  const isSilent = nodeHealth.get(handover.from)?.kind === "suspect";
  return isSilent ? nodes.filter(({ name }) => name === handover.to) : nodes;
}

/** The next step of one partition's handover. `failed`: why a handover ended without success, else empty. */
export function decideHandover(input: HandoverInput): HandoverStep {
  const { partition, wish } = input;
  const handover = partition.handover ?? null;
  if (handover === null) {
    const from = partition.master;
    if (wish === undefined || from === null || wish === from) return usual(partition, "");
    return underWay(partition, { from, to: wish, phase: "pause" });
  }
  return goOn(input, handover);
}

/**
 * 1. The view's master is not the node that hands over: another decision replaced it; cancel.
 * 2. The master is down or has restarted: the rules of a lost master decide.
 * 3. `to` was promoted: the next view names it master.
 * 4. `to` can't become master any more, or the time is over: undo the handover.
 * 5. The last INFO of either may be outdated, or it was not asked yet: wait.
 * 6. Continue with the phase.
 */
function goOn(input: HandoverInput, handover: Handover): HandoverStep {
  const { partition, nodeHealth, nowMs, sinceMs, attemptMs } = input;
  const { from, to } = handover;
  if (partition.master !== from) return usual(over(partition), `${from} was no longer master`);
  const master = nodeHealth.get(from) ?? { kind: "unknown" };
  if (isLost(master, partition)) return usual(over(partition), `${from} died or restarted`);
  const target = input.nodes.find(({ name }) => name === to);
  const isStale = input.stale.has(from) || input.stale.has(to);
  const follower = nodeHealth.get(to);
  const isLate = nowMs - sinceMs > attemptMs;
  if (isPromoted(follower, target)) {
    // The old master's own state decides: until it is known, nothing can be said about `to`.
    const isKnown = !isStale && master.kind === "up";
    if (isKnown && hasTakenOver(follower, master, partition)) {
      return usual(handedOver(partition, handover), "");
    }
    // This alpha may never reach `to`, for example because it takes no more clients: then the old master serves again.
    if (!isKnown && !isLate) return underWay(partition, handover);
  }
  const unfit = target === undefined ? `${to} left the cluster` : unfitness(target, input);
  if (unfit !== undefined) return cancel(input, handover, master, unfit);
  if (isLate) {
    const why = `${to} did not reach what ${from} has within ${Math.round(attemptMs)} ms`;
    return cancel(input, handover, master, why);
  }
  if (isStale) return underWay(partition, handover);
  if (master.kind !== "up" || follower?.kind !== "up") return underWay(partition, handover);
  if (master.info.role === "master") return underWay(partition, handover);
  if (!isDetached(master.info)) {
    return usual(over(partition), `${from} was made a replica by another client`);
  }
  return afterStepDown(partition, handover, master, follower);
}

function isLost(master: NodeHealth, partition: PartitionView): boolean {
  if (master.kind === "down") return true;
  const knownRunId = partition.masterRunId ?? null;
  return master.kind === "up" && knownRunId !== null && master.info.runId !== knownRunId;
}

/** Why this node can't become master now; undefined when it can, or when nothing is known. */
function unfitness(node: NodeView, input: HandoverInput): string | undefined {
  const health = input.nodeHealth.get(node.name) ?? { kind: "unknown" };
  if (health.kind === "down") return `${node.name} died`;
  if (health.kind === "suspect") return `${node.name} does not answer`;
  if (health.kind !== "up") return undefined;
  const { info } = health;
  if (node.runId !== null && node.runId !== info.runId) return `${node.name} restarted`;
  if (info.isLoading) return `${node.name} is loading its data`;
  if (!info.isDiskWell) return `${node.name} can't write to its disk`;
  const { replicationId } = input.partition;
  if (info.role !== "replica" || info.replicationId !== replicationId) {
    return `${node.name} no longer follows ${input.partition.master ?? "its master"}`;
  }
  return undefined;
}

/** Whether the master that hands over may step down: its pause is in force, its offset was sampled during the pause, and
    the replica, which still streams, has reached it. */
export function mayStepDown(
  master: Up,
  from: NodeView,
  target: NodeHealth | undefined,
  pause: Pause | undefined,
  nowMs: number,
): boolean {
  if (target?.kind !== "up" || !isPausedAt(pause, nowMs)) return false;
  const isStreaming = isFollowing(target.info, from) && target.info.isLinkUp;
  return (
    master.askedAtMs > pause.sinceMs && isStreaming && target.info.offset >= master.info.offset
  );
}

/**
 * Whether `target` has all data of its stepped-down master. By its offset; or, when Redis 6.2 has discarded the offset, by
 * the end of its history and its number of keys: neither node takes writes now, and a node that dropped data has fewer.
 */
function hasReached(target: Up["info"], master: Up["info"]): boolean {
  if (target.offset >= master.offset) return true;
  const isWhole = target.keptOffset !== undefined && target.keys === master.keys;
  return isWhole && target.keptOffset >= master.offset;
}

/** The offset of a detached node does not grow, so a node that has reached it has everything. */
function afterStepDown(
  partition: PartitionView,
  handover: Handover,
  master: Up,
  target: Up,
): HandoverStep {
  if (target.info.offset >= master.info.offset) {
    return { ...underWay(partition, handover), promotes: handover.to };
  }
  if (!hasReached(target.info, master.info)) return underWay(partition, handover);
  return { kind: "under-way", partition: handedOver(partition, handover) };
}

/** The process that was to take over is master. */
function isPromoted(health: NodeHealth | undefined, node: NodeView | undefined): health is Up {
  if (health?.kind !== "up" || health.info.role !== "master") return false;
  return node !== undefined && (node.runId === null || node.runId === health.info.runId);
}

/** The old master has stepped down, and the new one has all its data by the history that it followed before. */
function hasTakenOver(target: Up, master: Up, { replicationId }: PartitionView): boolean {
  if (!isDetached(master.info)) return false;
  const offset = RULES.offsetOn(replicationId, target.info);
  return offset !== undefined && offset >= master.info.offset;
}

function handedOver(partition: PartitionView, { from, to }: Handover): PartitionView {
  return { ...without(withoutMaster(partition, from), "handsBack"), promoting: to };
}

/**
 * 1. The old master may have stepped down, but is silent or its INFO is outdated: wait until it answers or is down.
 * 2. It has stepped down: it has all data, so it is promoted again.
 * 3. It has not: it stays master.
 */
function cancel(
  { partition, stale }: HandoverInput,
  handover: Handover,
  master: NodeHealth,
  why: string,
): HandoverStep {
  const { from } = handover;
  if (master.kind !== "up" || stale.has(from)) return underWay(partition, handover);
  if (master.info.role === "master") return usual(over(partition), why);
  return {
    kind: "usual",
    partition: { ...withoutMaster(partition, from), promoting: from },
    failed: why,
  };
}

function withoutMaster(partition: PartitionView, from: string): PartitionView {
  return { ...over(partition), master: null, lastMaster: from };
}

function over(partition: PartitionView): PartitionView {
  return { ...partition, handover: null };
}

function usual(partition: PartitionView, failed: string): HandoverStep {
  return { kind: "usual", partition, failed };
}

function underWay(
  partition: PartitionView,
  handover: Handover,
): HandoverStep & { readonly kind: "under-way" } {
  const known = partition.handover ?? null;
  const isSame =
    known?.from === handover.from && known.to === handover.to && known.phase === handover.phase;
  return { kind: "under-way", partition: isSame ? partition : { ...partition, handover } };
}
