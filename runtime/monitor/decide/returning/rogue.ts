// rogue.ts: a node that reports master although its partition has another master. Pure.
//
//   seen --pause its writes--> compare --nothing of its own--> detach
//                                 |
//                                 +--it has data that the master never had--> rescue, the view shows it --> detach
//
// Causes: a master that hung or was cut off during a failover and is back now, or an operator's REPLICAOF NO ONE. It is
// always detached, and then follows the master, which drops its own writes: so they are streamed to a file first. A
// detached node refuses PSYNC (seen on Redis 7.0.15), so the rescue comes before that, with writes paused. Its data is
// compared after the pause, because until then it may still grow.
import type { NodeView, PartitionView } from "../../../core/view.ts";
import type { NodeInfo } from "../nodes/info.ts";
import { isPauseDue, isPausedAt, type Pauses } from "../pauses.ts";
import type { Rules } from "../rules.ts";
import type { NodeHealth } from "../nodes/node-health.ts";

/** A longer rescue is cancelled. */
export const RESCUE_MS_MAX = 60_000;
/** Writes stay paused during the rescue and until the node is detached; then the pause ends by itself. */
export const ROGUE_PAUSE_MS = 90_000;

export type RogueStep = "pause" | "wait" | "rescue" | "detach";

export interface RogueInput {
  readonly node: NodeView;
  /** The node's own health; its role is master. */
  readonly health: Extract<NodeHealth, { kind: "up" }>;
  /** Its master is another node. */
  readonly partition: PartitionView;
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly pauses: Pauses;
  readonly nowMs: number;
  readonly rules: Rules;
}

/**
 * 1. Its writes are not paused: pause them.
 * 2. Its INFO is older than the pause: wait.
 * 3. The view records the rescue of all its data: detach.
 * 4. It holds no key, so nothing can be lost: detach.
 * 5. The master does not answer, so nothing can be compared: wait; the writes stay paused.
 * 6. All its data is on the master's history: detach.
 * 7. Otherwise rescue.
 */
export function rogueStep(input: RogueInput): RogueStep {
  const { node, health, partition, nodeHealth, pauses, nowMs, rules } = input;
  const { info } = health;
  const pause = pauses.get(node.name);
  if (!isPausedAt(pause, nowMs) || isPauseDue(pause, nowMs)) return "pause";
  if (health.askedAtMs <= pause.sinceMs) return "wait";
  if (rules.isRescued(node, info) || info.keys === 0) return "detach";
  const master = nodeHealth.get(partition.master ?? "");
  if (master?.kind !== "up") return "wait";
  return isContained(info, master.info) ? "detach" : "rescue";
}

/**
 * Whether every write of `rogue` is in `master` too.
 * 1. It is on the master's present history, and not further.
 * 2. It is on the history that the master followed before its promotion, and stopped before the promotion.
 * 3. It left the master's history and took no write since: a promotion alone does not change the offset. A master that does
 *    not count its writes may have taken any number. (In 1 and 2 it counts them: it has had a replica or a master.)
 */
export function isContained(rogue: NodeInfo, master: NodeInfo): boolean {
  if (isWithin(rogue.replicationId, rogue.offset, master)) return true;
  const { replicationId2, secondOffset = 0 } = rogue;
  const hasOwnWrites = rogue.isUncounted === true || rogue.offset >= secondOffset;
  return (
    replicationId2 !== undefined && !hasOwnWrites && isWithin(replicationId2, rogue.offset, master)
  );
}

function isWithin(history: string, offset: number, master: NodeInfo): boolean {
  if (history === master.replicationId) return offset <= master.offset;
  return history === master.replicationId2 && offset < (master.secondOffset ?? 0);
}

/** A node whose own writes could not be saved: following a master would drop them. A restart ends this state. */
export function isKept(node: NodeView, info: NodeInfo): boolean {
  return node.rescue?.kind === "kept" && node.rescue.runId === info.runId;
}
