// handover-actions.ts: the next step at one data node for a handover, a retiring node or a rogue master. Pure.
// Like all actions it depends on the chosen view, the nodes' present health, and this alpha's memory of its own pauses.
// So a lost command is repeated.
import type { Handover, NodeView, PartitionView } from "../../../core/view.ts";
import { isDetached, isForeign } from "../nodes/info.ts";
import { isPauseDue, isPausedAt, type Pauses } from "../pauses.ts";
import { RULES, type Rules } from "../rules.ts";
import { mayStepDown } from "./handover.ts";
import { ROGUE_PAUSE_MS, isContained, isKept, rogueStep } from "../returning/rogue.ts";
import type { NodeHealth } from "../nodes/node-health.ts";

/** The alpha's own memory that actions depend on. */
export interface ActionMemory {
  readonly pauses: Pauses;
  readonly nowMs: number;
  /** The time limit of one handover attempt. A pause lasts twice as long, so that it outlives the attempt. */
  readonly attemptMs: number;
  /** Replicas that must not be detached yet (failover.ts); absent: none. */
  readonly draining?: ReadonlySet<string>;
  /** Nodes to which a handover under way may give the place of master now (handover.ts); absent: none. */
  readonly takingOver?: ReadonlySet<string>;
  /** Absent: RULES. */
  readonly rules?: Rules | undefined;
}

/** The step for a node; leave: do nothing, and no other rule applies. */
export type PlannedStep =
  | { readonly kind: "pause"; readonly forMs: number; readonly waitersFirst: boolean }
  | { readonly kind: "unpause" | "step-down" | "promote" | "rescue" | "leave" };

export interface PlannedStepInput {
  readonly node: NodeView;
  readonly health: Extract<NodeHealth, { kind: "up" }>;
  readonly partition: PartitionView;
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  /** Every data node of the view. */
  readonly dataNodes: readonly NodeView[];
  readonly memory: ActionMemory;
}

/**
 * 1. The master that hands over: pause its writes, then detach it. The node that takes over: promote it when it may be; as
 *    master it is left alone, because the next view decides about it.
 * 2. A master that this alpha has paused for a handover that is over: unpause.
 * 3. A node that reports master although the partition has another one: rogue.ts. While the partition has no master it is
 *    detached as usual, and this alpha's pause ends with that.
 * 4. Any other node that this alpha has paused: unpause.
 * 5. A node whose own writes could not be saved must not follow a master.
 * 6. A node that follows a foreign master is rescued before it follows its own.
 * 7. A retiring node must not follow a master.
 * undefined: the usual rules apply.
 */
export function plannedStep(input: PlannedStepInput): PlannedStep | undefined {
  const { node, health, partition, memory } = input;
  const { info } = health;
  const { pauses, nowMs } = memory;
  const pause = pauses.get(node.name);
  const handover = partition.handover ?? null;
  if (handover?.from === node.name) return handoverStep(input, handover);
  if (handover?.to === node.name) {
    if (info.role === "master") return { kind: "leave" };
    if (memory.takingOver?.has(node.name) === true) return { kind: "promote" };
  }
  const { master } = partition;
  const isMaster = master === node.name;
  if (isMaster) return isPausedAt(pause, nowMs) ? { kind: "unpause" } : undefined;
  const { endsPauses } = memory.rules ?? RULES;
  const isToEnd = endsPauses && isPausedAt(pause, nowMs);
  if (info.role === "master") {
    if (partition.promoting === node.name) return undefined;
    if (master !== null) return ofRogue(input);
    return isToEnd ? { kind: "step-down" } : undefined;
  }
  if (isToEnd) return { kind: "unpause" };
  if (isKept(node, info)) return { kind: "leave" };
  if (master !== null && isToBeRescued(input, master)) return { kind: "rescue" };
  if (node.retiring === true && master !== null) {
    return { kind: isDetached(info) ? "leave" : "step-down" };
  }
  return undefined;
}

/** Data that it loaded from a foreign master is on no node of the cluster. Later writes are still at that master. */
function isToBeRescued(
  { node, health: { info }, dataNodes, nodeHealth }: PlannedStepInput,
  master: string,
): boolean {
  if (!isForeign(info, dataNodes) || info.keys === 0) return false;
  const { rescue } = node;
  const isSaved = rescue?.runId === info.runId && rescue.upTo?.replicationId === info.replicationId;
  const masterHealth = nodeHealth.get(master);
  if (isSaved || masterHealth?.kind !== "up") return false;
  return !isContained(info, masterHealth.info);
}

function handoverStep(
  { node, health, nodeHealth, memory }: PlannedStepInput,
  { to, phase }: Handover,
): PlannedStep {
  if (health.info.role !== "master") return { kind: "leave" };
  const { pauses, nowMs, attemptMs } = memory;
  const pause = pauses.get(node.name);
  // An alpha of an earlier version recorded this step in the view.
  const isRecorded = phase === "step-down";
  if (isRecorded || mayStepDown(health, node, nodeHealth.get(to), pause, nowMs)) {
    return { kind: "step-down" };
  }
  const isDue = isPauseDue(pause, nowMs);
  return isDue ? { kind: "pause", forMs: 2 * attemptMs, waitersFirst: true } : { kind: "leave" };
}

function ofRogue({ node, health, partition, nodeHealth, memory }: PlannedStepInput): PlannedStep {
  const { pauses, nowMs } = memory;
  const { rules = RULES } = memory;
  const step = rogueStep({ node, health, partition, nodeHealth, pauses, nowMs, rules });
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
