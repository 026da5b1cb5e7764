// pace.ts: chooses the data nodes that are asked more often. Pure.
import { isBeingSwitched } from "../../core/reshard.ts";
import type { View } from "../../core/view.ts";
import type { NodeObservation } from "../decide/nodes/observations.ts";

/**
 * Nodes of partitions with work under way: no master yet, a handover, the switch of a resharding, or a node that answers and
 * is not in sync yet. Not the partitions that only wait for a dead node: asking more often would not help.
 */
export function pendingNodes(
  view: View,
  nodeObservations: ReadonlyMap<string, NodeObservation>,
): Set<string> {
  const partitions = new Set<number>();
  for (const node of view.nodes) {
    if (node.partition === null || nodeObservations.get(node.name)?.reach !== "up") continue;
    if (node.role === "dead" || !node.inSync) partitions.add(node.partition);
  }
  for (const { index, handover } of view.partitions) {
    if ((handover ?? null) !== null) partitions.add(index);
  }
  const names = new Set<string>();
  // While a resharding switches, clients wait for every step of every master, and of no other node.
  if (isBeingSwitched(view.reshard)) {
    for (const { master } of view.partitions) if (master !== null) names.add(master);
  }
  for (const node of view.nodes) {
    if (node.partition !== null && partitions.has(node.partition)) names.add(node.name);
  }
  return names;
}
