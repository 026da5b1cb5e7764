// handover.ts: a planned change of master, step by step, kept in the view. Pure.
//
//   wish --a replica in sync answers--> pause --it has what the master has--> step-down --the master says replica, and
//                                         |                                      |      `to` has all of it--> promoting
//                                         | too long, `to` or the master lost     |
//                                         v                                       v
//                                       undone: unpaused, as before             undone: the old master is promoted
//
// Invariant: `to` is promoted only after the old master has said that it is a replica of nowhere, and holds every byte of
// the stream that the old master then has. So no acknowledged write is lost whatever the pause was worth: it only keeps
// short the time in which nobody serves. (Seen on Redis 7.0.15: a master that becomes a replica of nowhere keeps its
// offset, its replication id and the streams to its own replicas; writes that the pause held get READONLY, reads
// MASTERDOWN: both were not executed, and a router sends them again.)
// Until then the view goes on to name the old master: a router that is told "no master" waits for replies of the old one
// only for a moment, and what the pause holds back would look lost to it.
import type { Handover, NodeView, PartitionView } from "../../core/view.ts";
import { isFollowing } from "./data-nodes.ts";
import { isPausedAt, type Pauses } from "./pauses.ts";
import type { Standing } from "./standing.ts";

export interface HandoverInput {
  readonly partition: PartitionView;
  /** Its data nodes, first to last. */
  readonly nodes: readonly NodeView[];
  readonly standings: ReadonlyMap<string, Standing>;
  readonly pauses: Pauses;
  /** Nodes whose last word may be older than an action on them, or may be made untrue by one under way. */
  readonly unsettled: ReadonlySet<string>;
  /** The node that is to be master, when anybody wants one now and it was found fit. */
  readonly wish: string | undefined;
  readonly nowMs: number;
  /** When this alpha first saw the handover under way. */
  readonly sinceMs: number;
  readonly attemptMs: number;
}

export type HandoverStep =
  /** Nothing is under way (any more): the usual rules go on with `partition`. */
  | { readonly kind: "usual"; readonly partition: PartitionView; readonly failed: string }
  /** It is under way: this is the partition's next view. */
  | { readonly kind: "under-way"; readonly partition: PartitionView };

type Up = Extract<Standing, { kind: "up" }>;

/** How long one attempt may last: routers hold requests for `holdForMs`, and must not have to give up half of it. */
export function attemptMsOf(settings: { downAfterMs: number; holdForMs: number }): number {
  return Math.min(2 * settings.downAfterMs, settings.holdForMs / 4);
}

/** The next step of one partition's handover; `failed` says why one that was under way is over without success. */
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
 * 1. The view's master is not the one that hands over: somebody else decided; forget it.
 * 2. The master is down or has restarted: this is a matter for the rules of a lost master.
 * 3. `to` can't become master any more, or the time is up: take it back.
 * 4. What they said of themselves may be out of date, or they are being asked again: wait.
 * 5. Go on with the phase.
 */
function goOn(input: HandoverInput, handover: Handover): HandoverStep {
  const { partition, standings, nowMs, sinceMs, attemptMs } = input;
  const { from, to } = handover;
  if (partition.master !== from) return usual(over(partition), `${from} was no longer master`);
  const master = standings.get(from) ?? { kind: "unknown" };
  if (isLost(master, partition)) return usual(over(partition), `${from} died or restarted`);
  const target = input.nodes.find(({ name }) => name === to);
  const unfit = target === undefined ? `${to} left the cluster` : unfitness(target, input);
  if (unfit !== undefined) return takeBack(input, handover, master, unfit);
  if (nowMs - sinceMs > attemptMs) {
    const why = `${to} did not reach what ${from} has within ${Math.round(attemptMs)} ms`;
    return takeBack(input, handover, master, why);
  }
  const follower = standings.get(to);
  if (input.unsettled.has(from) || input.unsettled.has(to)) return underWay(partition, handover);
  if (master.kind !== "up" || follower?.kind !== "up") return underWay(partition, handover);
  return handover.phase === "pause"
    ? afterPause(input, handover, master, follower)
    : afterStepDown(partition, handover, master, follower);
}

function isLost(master: Standing, partition: PartitionView): boolean {
  if (master.kind === "down") return true;
  const knownRunId = partition.masterRunId ?? null;
  return master.kind === "up" && knownRunId !== null && master.info.runId !== knownRunId;
}

/** Why this node can't take the partition over as things are now, or undefined when it can or is merely quiet. */
function unfitness(node: NodeView, input: HandoverInput): string | undefined {
  const standing = input.standings.get(node.name) ?? { kind: "unknown" };
  if (standing.kind === "down") return `${node.name} died`;
  if (standing.kind === "suspect") return `${node.name} does not answer`;
  if (standing.kind !== "up") return undefined;
  const { info } = standing;
  if (node.runId !== null && node.runId !== info.runId) return `${node.name} restarted`;
  if (info.isLoading) return `${node.name} is loading its data`;
  if (!info.isDiskWell) return `${node.name} can't write to its disk`;
  const { replicationId } = input.partition;
  if (info.role !== "replica" || info.replicationId !== replicationId) {
    return `${node.name} no longer follows ${input.partition.master ?? "its master"}`;
  }
  return undefined;
}

/** The pause must stand, and the offset that `to` reaches must have been asked for under it. */
function afterPause(
  input: HandoverInput,
  handover: Handover,
  master: Up,
  target: Up,
): HandoverStep {
  const { partition, pauses, nowMs, nodes } = input;
  const { from, to } = handover;
  if (master.info.role !== "master") {
    return usual(over(partition), `somebody else made ${from} a replica`);
  }
  const pause = pauses.get(from);
  const isPaused = isPausedAt(pause, nowMs) && master.askedAtMs > pause.sinceMs;
  const view = nodes.find(({ name }) => name === from);
  const isStreaming = view !== undefined && isFollowing(target.info, view) && target.info.isLinkUp;
  if (!isPaused || !isStreaming || target.info.offset < master.info.offset) {
    return underWay(partition, handover);
  }
  return underWay(partition, { from, to, phase: "step-down" });
}

/** What a replica of nowhere has does not grow: reaching it is reaching everything. */
function afterStepDown(
  partition: PartitionView,
  { from, to, phase }: Handover,
  master: Up,
  target: Up,
): HandoverStep {
  const isSteppedDown = master.info.role === "replica";
  if (!isSteppedDown || target.info.offset < master.info.offset) {
    return underWay(partition, { from, to, phase });
  }
  return { kind: "under-way", partition: { ...vacated(partition, from), promoting: to } };
}

/**
 * 1. The old master may have stepped down, but is silent now or not heard since: wait, it will answer or be down.
 * 2. It has: it holds everything, so it is promoted again.
 * 3. It has not: it simply goes on.
 */
function takeBack(
  { partition, unsettled }: HandoverInput,
  handover: Handover,
  master: Standing,
  why: string,
): HandoverStep {
  const { from } = handover;
  if (handover.phase === "pause") return usual(over(partition), why);
  if (master.kind !== "up" || unsettled.has(from)) return underWay(partition, handover);
  if (master.info.role === "master") return usual(over(partition), why);
  return {
    kind: "usual",
    partition: { ...vacated(partition, from), promoting: from },
    failed: why,
  };
}

function vacated(partition: PartitionView, from: string): PartitionView {
  return { ...over(partition), master: null, lastMaster: from };
}

function over(partition: PartitionView): PartitionView {
  return { ...partition, handover: null };
}

function usual(partition: PartitionView, failed: string): HandoverStep {
  return { kind: "usual", partition, failed };
}

function underWay(partition: PartitionView, handover: Handover): HandoverStep {
  const known = partition.handover ?? null;
  const isSame =
    known?.from === handover.from && known.to === handover.to && known.phase === handover.phase;
  return { kind: "under-way", partition: isSame ? partition : { ...partition, handover } };
}
