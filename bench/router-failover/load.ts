// load.ts: who writes during a trial. Pure; redis-benchmark itself is in redis-benchmark.ts.
//
//   writers     per partition: a probe every 5 ms; counters, values, a register and a reader without a pause, mostly in
//               pipelines of 16
//   benchmark   redis-benchmark -c 50, at -P 16 and at -P 1 at the same time, keys over all partitions; per partition a
//               probe, a counter and values every 5 ms
//   both        one that sets and reads a key in every partition, every 5 ms
import type { ClientPlan } from "./client.ts";
import type { ExamName } from "./exams.ts";

export const LOADS = ["writers", "benchmark"] as const;
export type Load = (typeof LOADS)[number];

const PIPELINE = 16;
const PROBE_EVERY_MS = 5;
const VALUE_BYTES = 100;

/** `tags`: by partition, a text that lies in it. */
export function clientsOf(load: Load, tags: readonly string[], trial: number): ClientPlan[] {
  const plan = (
    exam: ExamName,
    places: readonly string[],
    nth: number,
    batch: number,
    everyMs: number,
  ): ClientPlan => ({
    exam,
    partition: places.length === 1 ? tags.indexOf(places[0] ?? "") : null,
    prefixes: places.map((tag) => `{${tag}}:${trial}:${nth}`),
    batch,
    everyMs,
    valueBytes: VALUE_BYTES,
  });
  const wide = plan("wide", tags, 0, 1, PROBE_EVERY_MS);
  const all = tags.flatMap((tag) => {
    const place = [tag];
    const probe = plan("probe", place, 1, 1, PROBE_EVERY_MS);
    if (load === "benchmark") {
      const slow = (exam: ExamName, nth: number) => plan(exam, place, nth, 1, PROBE_EVERY_MS);
      return [probe, slow("counter", 2), slow("values", 3)];
    }
    return [
      probe,
      plan("counter", place, 2, PIPELINE, 0),
      plan("counter", place, 3, 1, 0),
      plan("values", place, 4, PIPELINE, 0),
      plan("register", place, 5, PIPELINE, 0),
      plan("reader", place, 6, PIPELINE, 0),
    ];
  });
  return [...all, wide];
}
