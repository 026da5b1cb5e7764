// handover-actions.ts: what a handover, a retiring node and a rogue master ask of one data node. Pure.
// Like all actions they follow from the chosen view, the present standings, and what this alpha remembers of its own
// pauses; what was lost on the way is asked for again.
import type { NodeView, PartitionView } from "../../core/view.ts";
import { isDetached } from "./info.ts";
import { isPauseDue, isPausedAt, type Pauses } from "./pauses.ts";
import { RULES, type Rules } from "./rules.ts";
import { ROGUE_PAUSE_MS, isKept, rogueStep } from "./rogue.ts";
import type { Standing } from "./standing.ts";

/** The alpha's own memory that actions depend on. */
export interface ActionMemory {
  readonly pauses: Pauses;
  readonly nowMs: number;
  /** How long an attempt at a handover may last; a pause lasts twice that, so that it outlives the attempt. */
  readonly attemptMs: number;
  /** Replicas that are not to be detached yet (failover.ts); absent: none. */
  readonly draining?: ReadonlySet<string>;
  /** Absent: those that hold. */
  readonly rules?: Rules | undefined;
}

/** What is to be done to a node; leave: nothing, and no other rule applies. */
export type PlannedStep =
  | { readonly kind: "pause"; readonly forMs: number; readonly waitersFirst: boolean }
  | { readonly kind: "unpause" | "step-down" | "rescue" | "leave" };

export interface PlannedStepInput {
  readonly node: NodeView;
  readonly standing: Extract<Standing, { kind: "up" }>;
  readonly partition: PartitionView;
  readonly standings: ReadonlyMap<string, Standing>;
  readonly memory: ActionMemory;
}

/**
 * 1. The master that hands over: paused, then a replica of nowhere.
 * 2. A master that this alpha has paused for a handover that is over: goes on.
 * 3. A node that calls itself master of a partition that another one has: rogue.ts.
 * 4. A node whose own writes could not be saved follows nobody.
 * 5. A retiring node follows nobody.
 * undefined: the usual rules apply.
 */
export function plannedStep(input: PlannedStepInput): PlannedStep | undefined {
  const { node, standing, partition, memory } = input;
  const { info } = standing;
  const { pauses, nowMs } = memory;
  const pause = pauses.get(node.name);
  const handover = partition.handover ?? null;
  if (handover?.from === node.name) return handoverStep(input, handover.phase);
  const { master } = partition;
  const isMaster = master === node.name;
  if (isMaster) return isPausedAt(pause, nowMs) ? { kind: "unpause" } : undefined;
  if (info.role === "master") {
    return master === null || partition.promoting === node.name ? undefined : ofRogue(input);
  }
  if (isKept(node, info)) return { kind: "leave" };
  if (node.retiring === true && master !== null) {
    return { kind: isDetached(info) ? "leave" : "step-down" };
  }
  return undefined;
}

function handoverStep({ node, standing, memory }: PlannedStepInput, phase: string): PlannedStep {
  if (standing.info.role !== "master") return { kind: "leave" };
  if (phase === "step-down") return { kind: "step-down" };
  const { pauses, nowMs, attemptMs } = memory;
  const isDue = isPauseDue(pauses.get(node.name), nowMs);
  return isDue ? { kind: "pause", forMs: 2 * attemptMs, waitersFirst: true } : { kind: "leave" };
}

function ofRogue({ node, standing, partition, standings, memory }: PlannedStepInput): PlannedStep {
  const { pauses, nowMs } = memory;
  const { rules = RULES } = memory;
  const step = rogueStep({ node, standing, partition, standings, pauses, nowMs, rules });
  switch (step) {
    case "pause":
      return { kind: "pause", forMs: ROGUE_PAUSE_MS, waitersFirst: false };
    case "wait":
      return { kind: "leave" };
    case "rescue":
      return { kind: "rescue" };
    case "detach":
      return { kind: "step-down" };
    default:
      return step satisfies never;
  }
}
