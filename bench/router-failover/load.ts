// load.ts: who writes during a trial. Pure; redis-benchmark itself is in redis-benchmark.ts.
//
//   writers     per partition: a probe every 5 ms; counters, values and a register in pipelines of 16 without a pause
//   benchmark   redis-benchmark -c 50, at -P 16 and at -P 1 at the same time, keys over all partitions; per partition a
//               probe, and a counter and values without a pipeline
import type { ClientPlan } from "./client.ts";
import type { ExamName } from "./exams.ts";

export const LOADS = ["writers", "benchmark"] as const;
export type Load = (typeof LOADS)[number];

const PIPELINE = 16;
const PROBE_EVERY_MS = 5;
const VALUE_BYTES = 100;

/** `tags`: by partition, a text that lies in it. */
export function clientsOf(load: Load, tags: readonly string[], trial: number): ClientPlan[] {
  return tags.flatMap((tag, partition) => {
    const plan = (exam: ExamName, nth: number, batch: number, everyMs: number): ClientPlan => {
      const prefix = `{${tag}}:${trial}:${nth}`;
      return { exam, partition, prefix, batch, everyMs, valueBytes: VALUE_BYTES };
    };
    const probe = plan("probe", 0, 1, PROBE_EVERY_MS);
    if (load === "benchmark") {
      return [probe, plan("counter", 1, 1, PROBE_EVERY_MS), plan("values", 2, 1, PROBE_EVERY_MS)];
    }
    return [
      probe,
      plan("counter", 1, PIPELINE, 0),
      plan("counter", 2, 1, 0),
      plan("values", 3, PIPELINE, 0),
      plan("register", 4, PIPELINE, 0),
    ];
  });
}
