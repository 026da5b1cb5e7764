// failovers.ts: counts changes of partitions' masters from one view to the next. Pure.
import type { View } from "../../core/view.ts";

/** The number of partitions whose master in `after` is not the last one in `before`. A first master does not count. */
export function failoversBetween(before: View | null, after: View): number {
  const last = new Map(before?.partitions.map((old) => [old.index, old.master ?? old.lastMaster]));
  return after.partitions.filter(({ index, master }) => {
    const previous = last.get(index) ?? null;
    return master !== null && previous !== null && previous !== master;
  }).length;
}
