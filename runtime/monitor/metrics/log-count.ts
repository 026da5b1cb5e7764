// log-count.ts: the metric for lines of this monitor's log that could not be written.
import { Counter, type Registry } from "prom-client";
import type { Metric } from "./exposition.ts";

const DROPPED: Metric = {
  name: "twine_log_lines_dropped_total",
  type: "counter",
  labels: [],
  help: "Lines of this monitor's log that could not be written, on a full disk for instance",
};

export const LOG_METRICS: readonly Metric[] = [DROPPED];

export function countDroppedLines(registry: Registry, droppedCount: () => number): void {
  const { name, help } = DROPPED;
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(droppedCount());
    },
  });
}
