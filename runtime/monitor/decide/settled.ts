// settled.ts: whose last word can be relied on. Pure.
import type { NodeView } from "../../core/view.ts";
import type { Standing } from "./standing.ts";

/** Nodes whose last word may be older than an action on them, or may be made untrue by one under way. `quietSinceMs`:
    node -> since when nothing is on its way to it; absent: something may be. */
export function unsettledOf(
  nodes: readonly NodeView[],
  standings: ReadonlyMap<string, Standing>,
  quietSinceMs: ReadonlyMap<string, number>,
): ReadonlySet<string> {
  const unsettled = new Set<string>();
  for (const { name } of nodes) {
    const standing = standings.get(name);
    if (standing?.kind !== "up") continue;
    const quiet = quietSinceMs.get(name);
    if (quiet === undefined || standing.askedAtMs <= quiet) unsettled.add(name);
  }
  return unsettled;
}
