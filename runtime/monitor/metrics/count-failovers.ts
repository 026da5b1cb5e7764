// count-failovers.ts: counts failovers for as long as the monitor runs, from the views that it holds.
import { startChore } from "../chore.ts";
import type { Clock } from "../../ports/clock.ts";
import type { View } from "../../core/view.ts";
import { failoversBetween } from "./failovers.ts";

export interface FailoverCount {
  count(): number;
  stop(): void;
}

/** A monitor reads the view several times per lease; looking as often misses nothing that it saw for long. */
export function countFailovers(
  clock: Clock,
  everyMs: () => number,
  view: () => View | null,
): FailoverCount {
  let seen: View | null = null;
  let count = 0;
  const chore = startChore(
    clock,
    everyMs,
    () => {
      const present = view();
      if (present !== null && present !== seen) {
        count += failoversBetween(seen, present);
        seen = present;
      }
      return Promise.resolve();
    },
    () => undefined,
  );
  return {
    count: () => count,
    stop: () => {
      chore.stop();
    },
  };
}
