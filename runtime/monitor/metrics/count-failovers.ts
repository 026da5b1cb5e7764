// count-failovers.ts: counts failovers in the views that a monitor reads, while it runs.
import type { Clock } from "../../ports/clock.ts";
import { startPeriodicTask } from "../../ports/periodic-task.ts";
import type { View } from "../../core/view.ts";
import { failoversBetween } from "./failovers.ts";

export interface FailoverCount {
  count(): number;
  stop(): Promise<void>;
}

/** Checks `view()` every `everyMs()`. A monitor reads the view several times per lease, so use a similar time. */
export function countFailovers(
  clock: Clock,
  everyMs: () => number,
  view: () => View | null,
): FailoverCount {
  let seen: View | null = null;
  let count = 0;
  const task = startPeriodicTask({
    clock,
    restMs: everyMs,
    run: () => {
      const present = view();
      if (present === null || present === seen) return;
      count += failoversBetween(seen, present);
      seen = present;
    },
    onError: () => undefined,
  });
  return { count: () => count, stop: () => task.stop() };
}
