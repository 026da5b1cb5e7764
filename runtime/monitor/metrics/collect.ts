// collect.ts: one scrape of /metrics: asks the data nodes, waits a bounded time, writes everything as text.
//
//   INFO of every data node ─┐
//   report of twine-status   ├─> families ─slices─> text
//   counters since the start ┘
//
// A node that hangs delays the scrape by a second and lacks its own samples only. The monitor's loop can run between two
// slices, because a scrape must not cost an alpha its lease.
import type { Registry } from "prom-client";
import type { Clock } from "../../ports/clock.ts";
import type { StatusReport } from "../../status/report.ts";
import type { Monitor } from "../monitor.ts";
import { clusterFamilies } from "./cluster-metrics.ts";
import { expositionOf, type Family, type Sample } from "./exposition.ts";
import { redisFamilies, redisSamplesOf } from "./redis-metrics.ts";

export const METRIC_PARTS = ["twine", "redis"] as const;
/** twine: the cluster and this monitor; redis: the data nodes, under redis_exporter's names. */
export type MetricPart = (typeof METRIC_PARTS)[number];

export interface CollectOptions {
  readonly monitor: Pick<Monitor, "detailsOf" | "health">;
  readonly clock: Clock;
  /** This monitor's counters since its start. */
  readonly registry: Registry;
  readonly version: string;
  readonly failoverCount: () => number;
}

/** Prometheus allows ten seconds for a scrape; a node without an answer within one counts as down. */
const ANSWER_MS = 1000;

/** The text of the requested parts. */
export async function collectMetrics(
  options: CollectOptions,
  report: StatusReport,
  parts: readonly MetricPart[],
): Promise<string> {
  const texts: string[] = [];
  if (parts.includes("twine")) {
    const { monitor, registry, version, failoverCount } = options;
    const facts = {
      report,
      version,
      isHealthy: monitor.health().ok,
      failoverCount: failoverCount(),
    };
    texts.push(await written(clusterFamilies(facts), options.clock), await registry.metrics());
  }
  if (parts.includes("redis")) {
    texts.push(await written(redisFamilies(await askNodes(options, report)), options.clock));
  }
  return texts.join("");
}

async function written(families: readonly Family[], clock: Clock): Promise<string> {
  const slices: string[] = [];
  for (const slice of expositionOf(families)) {
    slices.push(slice);
    await clock.delay(0);
  }
  return slices.join("");
}

function askNodes(
  { monitor, clock }: CollectOptions,
  report: StatusReport,
): Promise<Map<string, Sample[]>[]> {
  const nodes = report.nodes.filter(({ kind }) => kind === "data");
  return Promise.all(
    nodes.map(async ({ name, host, port, partition }) => {
      const info = await within(clock, ANSWER_MS, monitor.detailsOf(name));
      return redisSamplesOf({ name, host, port, partition: partition ?? 0, info });
    }),
  );
}

/** null when `asked` rejects or takes longer. */
function within(clock: Clock, waitMs: number, asked: Promise<string>): Promise<string | null> {
  return new Promise((resolve) => {
    const cancel = clock.after(waitMs, () => {
      resolve(null);
    });
    asked.then(
      (text) => {
        cancel();
        resolve(text);
      },
      () => {
        cancel();
        resolve(null);
      },
    );
  });
}
