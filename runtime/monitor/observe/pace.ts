// pace.ts: which data nodes are worth hurrying for. Pure.
import type { View } from "../../core/view.ts";
import type { Sight } from "../decide/observations.ts";

/**
 * Nodes whose partition has work under way: no master yet, a handover, or a node that answers and is not yet what it
 * should be.
 * A partition that only waits for something dead is not among them: hurrying would bring nothing.
 */
export function unsettledNodes(view: View, sights: ReadonlyMap<string, Sight>): Set<string> {
  const partitions = new Set<number>();
  for (const node of view.nodes) {
    if (node.partition === null || sights.get(node.name)?.reach !== "up") continue;
    if (node.role === "dead" || !node.inSync) partitions.add(node.partition);
  }
  for (const { index, handover } of view.partitions) {
    if ((handover ?? null) !== null) partitions.add(index);
  }
  const names = new Set<string>();
  for (const node of view.nodes) {
    if (node.partition !== null && partitions.has(node.partition)) names.add(node.name);
  }
  return names;
}
