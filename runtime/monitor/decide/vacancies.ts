// vacancies.ts: for how long a partition has been without a master in the chosen views of one alpha. Pure.
// Routers may act on the view before for a lease; an alpha counts that lease by its own monotonic clock and from the
// moment at which it knew its view to be chosen, so a new alpha counts anew.
import type { View } from "../../core/view.ts";

/** partition -> when this alpha first knew a view without a master of it to be chosen. */
export type Vacancies = ReadonlyMap<number, number>;

/** After `view` was found to be chosen, at `nowMs`. */
export function vacanciesAfter(before: Vacancies, view: View, nowMs: number): Vacancies {
  const after = new Map<number, number>();
  for (const { index, master } of view.partitions) {
    if (master === null) after.set(index, before.get(index) ?? nowMs);
  }
  return after;
}
