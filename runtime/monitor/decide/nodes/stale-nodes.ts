// stale-nodes.ts: finds nodes whose last INFO may be outdated. Pure.
import type { NodeView } from "../../../core/view.ts";
import type { NodeHealth } from "./node-health.ts";

/** Nodes that answer, but whose last INFO may be older than an action on them, or that an action may still reach.
    `acknowledgedAtMs`: node -> when its last action was acknowledged; absent: one may be on its way. */
export function staleNodesOf(
  nodes: readonly NodeView[],
  nodeHealth: ReadonlyMap<string, NodeHealth>,
  acknowledgedAtMs: ReadonlyMap<string, number>,
): ReadonlySet<string> {
  const stale = new Set<string>();
  for (const { name } of nodes) {
    const health = nodeHealth.get(name);
    if (health?.kind !== "up") continue;
    const acknowledged = acknowledgedAtMs.get(name);
    if (acknowledged === undefined || health.askedAtMs <= acknowledged) stale.add(name);
  }
  return stale;
}
