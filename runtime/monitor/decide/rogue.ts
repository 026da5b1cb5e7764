// rogue.ts: a node that calls itself master of a partition whose master is another one. Pure.
//
//   seen --pause its writes--> compare --nothing of its own--> detach
//                                 |
//                                 +--it has data that the master never had--> rescue --saved or not--> the view says so
//                                                                                                     --> detach
//
// How it comes about: a master that hung or was cut off while its partition failed over and is back now, or somebody's
// REPLICAOF NO ONE. It is detached in any case, and then follows the master, which throws its own writes away: so they
// are streamed to a file first. A detached node refuses PSYNC (seen on Redis 7.0.15), hence before that and with its
// writes paused; and what it holds is compared after the pause, for until then it may still grow.
import type { NodeView, PartitionView } from "../../core/view.ts";
import type { NodeInfo } from "./info.ts";
import { isPauseDue, isPausedAt, type Pauses } from "./pauses.ts";
import type { Rules } from "./rules.ts";
import type { Standing } from "./standing.ts";

/** A rescue that takes longer is given up. */
export const RESCUE_MS_MAX = 60_000;
/** Writes stay paused for the whole of a rescue and what comes after; then the pause ends by itself. */
export const ROGUE_PAUSE_MS = 90_000;

export type RogueStep = "pause" | "wait" | "rescue" | "detach";

export interface RogueInput {
  readonly node: NodeView;
  /** Its own; its role is master. */
  readonly standing: Extract<Standing, { kind: "up" }>;
  /** Has a master, and it is another node. */
  readonly partition: PartitionView;
  readonly standings: ReadonlyMap<string, Standing>;
  readonly pauses: Pauses;
  readonly nowMs: number;
  readonly rules: Rules;
}

/**
 * 1. Its writes are not paused: pause them.
 * 2. What it holds was not asked since: wait for that.
 * 3. The view says what became of all that it holds: detach.
 * 4. It holds no key: nothing can be lost, detach.
 * 5. The master does not answer, so nothing can be compared: wait, its writes are paused.
 * 6. Everything it has lies on the master's history: detach.
 * 7. Rescue.
 */
export function rogueStep(input: RogueInput): RogueStep {
  const { node, standing, partition, standings, pauses, nowMs, rules } = input;
  const { info } = standing;
  const pause = pauses.get(node.name);
  if (!isPausedAt(pause, nowMs) || isPauseDue(pause, nowMs)) return "pause";
  if (standing.askedAtMs <= pause.sinceMs) return "wait";
  if (rules.isRescued(node, info) || info.keys === 0) return "detach";
  const master = standings.get(partition.master ?? "");
  if (master?.kind !== "up") return "wait";
  return isContained(info, master.info) ? "detach" : "rescue";
}

/**
 * Whether every write of `rogue` is in `master` too.
 * 1. It is on the history that the master has now, and not further.
 * 2. It is on the history that the master followed before its promotion, and stopped before that.
 * 3. It branched off the master's history and took no write since: a promotion alone adds nothing to the offset. One that
 *    does not count its writes may have taken any number. (In 1 and 2 it counts: it has had a replica or a master.)
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

/** A node whose own writes could not be saved: it must not follow anybody, or they are gone. A restart ends this. */
export function isKept(node: NodeView, info: NodeInfo): boolean {
  return node.rescue?.kind === "kept" && node.rescue.runId === info.runId;
}
