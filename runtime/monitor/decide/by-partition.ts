// by-partition.ts: groups a view's data nodes by partition. Pure.
import type { NodeView } from "../../core/view.ts";

/** In one pass: with 4,096 nodes a search for each partition would be slow in every tick. */
export function dataNodesByPartition(nodes: readonly NodeView[]): Map<number, NodeView[]> {
  const byPartition = new Map<number, NodeView[]>();
  for (const node of nodes) {
    if (node.partition === null) continue;
    const list = byPartition.get(node.partition);
    if (list === undefined) byPartition.set(node.partition, [node]);
    else list.push(node);
  }
  return byPartition;
}
