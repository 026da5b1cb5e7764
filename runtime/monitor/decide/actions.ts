// actions.ts: the commands that a chosen view requires at the data nodes. Pure.
// They depend only on the view and the nodes' present health. So a lost command is repeated, and a new alpha finishes what
// its predecessor began.
import { addressOf } from "../../core/cluster.ts";
import { isBeingSwitched } from "../../core/reshard.ts";
import type { NodeView, PartitionView, View } from "../../core/view.ts";
import { dataNodesByPartition } from "./by-partition.ts";
import { isFollowing } from "./nodes/data-nodes.ts";
import { plannedStep, type ActionMemory, type PlannedStep } from "./handover/handover-actions.ts";
import { followStep } from "./follow/follow-action.ts";
import { isPausedAt } from "./pauses.ts";
import { reshardActions } from "./reshard/reshard-action.ts";
import { RULES } from "./rules.ts";
import type { NodeHealth } from "./nodes/node-health.ts";

interface Target {
  readonly node: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
  /** When the INFO that led to this action was requested. A later action on the node makes this one void. */
  readonly askedAtMs: number;
}

/**
 * promote: REPLICAOF NO ONE · repoint: REPLICAOF master · detach: REPLICAOF 127.0.0.1 1, which follows nobody.
 * pause: CLIENT PAUSE WRITE; with waitersFirst only when no client is in WAIT · unpause: CLIENT UNPAUSE ·
 * step-down: detach and unpause at once · rescue: stream the node's data to a file.
 */
export type Action =
  | (Target & { readonly kind: "promote" | "detach" | "unpause" | "step-down" })
  | (Target & { readonly kind: "pause"; readonly forMs: number; readonly waitersFirst: boolean })
  | (Target & { readonly kind: "rescue"; readonly runId: string; readonly revision: number })
  | (Target & {
      readonly kind: "repoint";
      readonly master: { readonly name: string; readonly host: string; readonly port: number };
    });

/**
 * All actions that are due. A loading node refuses REPLICAOF, so it gets no action until it has loaded.
 * Without `memory` nothing is paused, handed over or rescued: a rogue master is detached at once.
 */
export function actionsOf(
  view: View,
  nodeHealth: ReadonlyMap<string, NodeHealth>,
  memory?: ActionMemory,
): Action[] {
  // During a restore only the restoring tool changes data nodes.
  if ((view.restore ?? null) !== null) return [];
  const reshard = view.reshard ?? null;
  if (reshard !== null && isBeingSwitched(reshard)) {
    return reshardActions(view, reshard, nodeHealth, memory);
  }
  const actions: Action[] = [];
  const dataNodes = view.nodes.filter(({ kind }) => kind === "data");
  const byPartition = dataNodesByPartition(view.nodes);
  for (const partition of view.partitions) {
    const nodes = byPartition.get(partition.index) ?? [];
    for (const node of nodes) {
      const health = nodeHealth.get(node.name);
      if (health?.kind !== "up" || health.info.isLoading) continue;
      const following = partition.following ?? null;
      if (following !== null) {
        const action = actionOfFollowing({ node, health, partition, nodes, nodeHealth, memory });
        if (action !== undefined) actions.push(action);
        continue;
      }
      const step =
        memory === undefined
          ? undefined
          : plannedStep({ node, health, partition, nodeHealth, dataNodes, memory });
      const action =
        step === undefined
          ? actionOn({ node, health, partition, nodes, nodeHealth, memory })
          : plannedAction(step, targetOf(node, health, partition.index), health, view);
      if (action !== undefined) actions.push(action);
    }
  }
  return actions;
}

function targetOf(
  { name: node, host, port }: NodeView,
  { askedAtMs }: NodeHealth & { kind: "up" },
  partition: number,
): Target {
  return { node, partition, host: addressOf(host), port, askedAtMs };
}

function plannedAction(
  step: PlannedStep,
  target: Target,
  { info }: NodeHealth & { kind: "up" },
  { revision }: View,
): Action | undefined {
  switch (step.kind) {
    case "leave":
      return undefined;
    case "rescue":
      return { ...target, kind: "rescue", runId: info.runId, revision };
    case "pause":
      return { ...target, ...step };
    case "unpause":
    case "step-down":
    case "promote":
      return { ...target, kind: step.kind };
    default:
      return step satisfies never;
  }
}

/** Ends a pause of this alpha that is left; otherwise only makes the node follow. */
function actionOfFollowing({ node, health, partition, memory }: ActionInput): Action | undefined {
  const target = targetOf(node, health, partition.index);
  if (memory !== undefined && isPausedAt(memory.pauses.get(node.name), memory.nowMs)) {
    return { ...target, kind: "unpause" };
  }
  const { following } = partition;
  if (following === undefined || following === null) return undefined;
  const master = followStep(node, health.info, partition, following);
  return master === undefined ? undefined : { ...target, kind: "repoint", master };
}

interface ActionInput {
  readonly node: NodeView;
  readonly health: NodeHealth & { readonly kind: "up" };
  readonly partition: PartitionView;
  /** The partition's data nodes. */
  readonly nodes: readonly NodeView[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly memory: ActionMemory | undefined;
}

/**
 * 1. The node that the view promotes: promote it, unless it is master already.
 * 2. The view's master: nothing. If it is a master no more, the next view changes.
 * 3. Any other node that reports master: detach it at once, because writes that it takes would be lost.
 * 4. Any other node of a partition with a master: repoint it, once the master reports that it is one. A replica that asks a
 *    dead node for its stream may lose its offset (info.ts, `keptOffset`).
 * 5. Without a master, during a failover: detach every node that follows another one. Then its data can't change, and it
 *    can't help the old master to acknowledge a write. A node that still reads a dead master's stream is detached later.
 * 6. Without a master otherwise: nothing.
 */
function actionOn(input: ActionInput): Action | undefined {
  const { node, health, partition, nodes, nodeHealth, memory } = input;
  const { info } = health;
  const target = targetOf(node, health, partition.index);
  if (partition.promoting === node.name) {
    return info.role === "master" ? undefined : { kind: "promote", ...target };
  }
  if (partition.master === node.name) return undefined;
  if (info.role === "master") return { kind: "detach", ...target };
  const master = nodes.find(({ name }) => name === partition.master);
  if (master === undefined) {
    const isFailover = (partition.failover ?? null) !== null;
    const { standsStill } = memory?.rules ?? RULES;
    const isDraining = memory?.draining?.has(node.name) === true;
    const isDue = isFailover && !standsStill(info) && !isDraining;
    return isDue ? { kind: "detach", ...target } : undefined;
  }
  const masterHealth = nodeHealth.get(master.name);
  const isServed = masterHealth?.kind === "up" && masterHealth.info.role === "master";
  if (!isServed || isFollowing(info, master)) return undefined;
  const { name, host, port } = master;
  return { kind: "repoint", ...target, master: { name, host: addressOf(host), port } };
}
