// reshard-action.ts: the actions on the old masters while a resharding switches. Pure.
import { addressOf } from "../../../core/cluster.ts";
import type { ReshardView, View } from "../../../core/view.ts";
import type { ActionMemory } from "../handover/handover-actions.ts";
import { isPauseDue } from "../pauses.ts";
import type { NodeHealth } from "../nodes/node-health.ts";

/** An action (actions.ts). */
export type ReshardAction = {
  readonly node: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
  readonly askedAtMs: number;
} & (
  | { readonly kind: "step-down" }
  | { readonly kind: "pause"; readonly forMs: number; readonly waitersFirst: boolean }
);

/**
 * pausing, draining: every master's writes are paused, again when half of the pause is over.
 * fencing: every node that still reports master is detached, and unpaused in the same breath.
 * fenced, undoing: nothing.
 */
export function reshardActions(
  view: View,
  { phase }: Pick<ReshardView, "phase">,
  nodeHealth: ReadonlyMap<string, NodeHealth>,
  memory: ActionMemory | undefined,
): ReshardAction[] {
  if (memory === undefined) return [];
  return view.partitions.flatMap(({ index, master }): ReshardAction[] => {
    const node = view.nodes.find(({ name }) => name === master);
    const health = nodeHealth.get(master ?? "");
    if (node === undefined || health?.kind !== "up" || health.info.role !== "master") return [];
    const target = {
      node: node.name,
      partition: index,
      host: addressOf(node.host),
      port: node.port,
      askedAtMs: health.askedAtMs,
    };
    if (phase === "fencing") return [{ ...target, kind: "step-down" }];
    const isPausing = phase === "pausing" || phase === "draining";
    if (!isPausing || !isPauseDue(memory.pauses.get(node.name), memory.nowMs)) return [];
    return [{ ...target, kind: "pause", forMs: 2 * memory.attemptMs, waitersFirst: true }];
  });
}
