// without-master.ts: how long a partition has had no master in the chosen views of one alpha. Pure.
// Routers may act on the previous view for a lease. An alpha counts that lease by its own monotonic clock, from when it
// knew that its view was chosen. So a new alpha starts to count again.
import { takesWrites, type View } from "../../../core/view.ts";

/** partition -> when this alpha first knew that a view without a master for it was chosen. */
export type WithoutMasterSince = ReadonlyMap<number, number>;

/** partition -> since when the chosen views that this alpha knows have allowed no write to its last master. */
export type HeldSince = ReadonlyMap<number, number>;

/** Updates `before` when `view` is known to be chosen, at `nowMs`. */
export function heldSinceAfter(before: HeldSince, view: View, nowMs: number): HeldSince {
  const after = new Map<number, number>();
  for (const { index } of view.partitions) {
    if (!takesWrites(view, index)) after.set(index, before.get(index) ?? nowMs);
  }
  return after;
}

/** Updates `before` when `view` is known to be chosen, at `nowMs`. */
export function withoutMasterSinceAfter(
  before: WithoutMasterSince,
  view: View,
  nowMs: number,
): WithoutMasterSince {
  const after = new Map<number, number>();
  for (const { index, master } of view.partitions) {
    if (master === null) after.set(index, before.get(index) ?? nowMs);
  }
  return after;
}
