// failovers.ts: how often a partition's master became another node, counted from one view to the next. Pure.
import type { View } from "../../core/view.ts";

/** Partitions whose master in `after` is another node than their last one in `before`. A first master is none. */
export function failoversBetween(before: View | null, after: View): number {
  const last = new Map(before?.partitions.map((old) => [old.index, old.master ?? old.lastMaster]));
  return after.partitions.filter(({ index, master }) => {
    const previous = last.get(index) ?? null;
    return master !== null && previous !== null && previous !== master;
  }).length;
}
