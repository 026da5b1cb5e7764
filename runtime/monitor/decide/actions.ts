// actions.ts: what a chosen view asks of the data nodes. Pure.
// A function of the view and the present standings alone: what was lost on the way is asked for again, and an alpha
// that takes over finishes what its predecessor began.
import { addressOf } from "../../core/cluster.ts";
import type { NodeView, PartitionView, View } from "../../core/view.ts";
import { dataNodesByPartition } from "./by-partition.ts";
import { isFollowing } from "./data-nodes.ts";
import { plannedStep, type ActionMemory, type PlannedStep } from "./handover-actions.ts";
import { RULES } from "./rules.ts";
import type { Standing } from "./standing.ts";

interface Target {
  readonly node: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
  /** The INFO that the action answers to was asked for then; an action done later than that makes it void. */
  readonly askedAtMs: number;
}

/**
 * promote: REPLICAOF NO ONE · repoint: REPLICAOF master · detach: REPLICAOF 127.0.0.1 1, a replica of nowhere.
 * pause: CLIENT PAUSE WRITE, with waitersFirst when nobody is in WAIT · unpause: CLIENT UNPAUSE · step-down: detach and unpause at once.
 * rescue: what it holds is streamed to a file.
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
 * Every action that is due. A node that still loads refuses REPLICAOF and is left alone until it has.
 * Without `memory` nothing is paused, handed over or rescued: a rogue master is detached at once.
 */
export function actionsOf(
  view: View,
  standings: ReadonlyMap<string, Standing>,
  memory?: ActionMemory,
): Action[] {
  const actions: Action[] = [];
  const byPartition = dataNodesByPartition(view.nodes);
  for (const partition of view.partitions) {
    const nodes = byPartition.get(partition.index) ?? [];
    for (const node of nodes) {
      const standing = standings.get(node.name);
      if (standing?.kind !== "up" || standing.info.isLoading) continue;
      const step =
        memory === undefined
          ? undefined
          : plannedStep({ node, standing, partition, standings, memory });
      const action =
        step === undefined
          ? actionOn(node, standing, partition, nodes, memory)
          : plannedAction(step, targetOf(node, standing, partition.index), standing, view);
      if (action !== undefined) actions.push(action);
    }
  }
  return actions;
}

function targetOf(
  { name: node, host, port }: NodeView,
  { askedAtMs }: Standing & { kind: "up" },
  partition: number,
): Target {
  return { node, partition, host: addressOf(host), port, askedAtMs };
}

function plannedAction(
  step: PlannedStep,
  target: Target,
  { info }: Standing & { kind: "up" },
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
      return { ...target, kind: step.kind };
    default:
      return step satisfies never;
  }
}

/**
 * 1. The node that the view promotes: promote it, unless it is master already.
 * 2. The view's master: nothing; when it is none any more, the next view will say so.
 * 3. Any other that calls itself master: detach it at once, it might take writes that are lost.
 * 4. Any other in a partition with a master: it must follow that master.
 * 5. Without a master, while one is looked for after a loss: whoever follows anybody is detached, so that what they
 *    hold stands still and nobody helps the old master to acknowledge a write. One that still reads what a dead master
 *    has sent it comes later.
 * 6. Without a master otherwise everybody stays as he is.
 */
function actionOn(
  node: NodeView,
  standing: Standing & { kind: "up" },
  partition: PartitionView,
  nodes: readonly NodeView[],
  memory: ActionMemory | undefined,
): Action | undefined {
  const { info } = standing;
  const target = targetOf(node, standing, partition.index);
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
  if (isFollowing(info, master)) return undefined;
  const { name, host, port } = master;
  return { kind: "repoint", ...target, master: { name, host: addressOf(host), port } };
}
