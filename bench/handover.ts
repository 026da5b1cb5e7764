// handover.ts: what clients wait for in a planned handover, phase by phase from the monitors' log, beside the longest wait of the
// same clients in as long a time without any change. `node bench/handover.ts --help`; needs redis-server.
import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { Redis } from "ioredis";
import { byLetter, clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { runTool } from "../test/support/run-tool.ts";
import { BenchWriters, longestOf } from "./apply/writer.ts";
import { wholeFrom } from "./option-values.ts";

const CONF = clusterConf({
  ...{ partitions: 1, nodesPerPartition: 3, nameOf: byLetter },
  ...{ statusNodes: 3, monitors: 3, routers: 1 },
  lines: ["cluster bench"],
});
/** Each handover, and each time without one, is looked at for so long. */
const WINDOW_MS = 3000;

const { handovers } = new Command("bench/handover.ts")
  .description(
    "Hands a master over under writing clients, and prints how long they waited and for what.",
  )
  .option("--handovers <n>", "how many", wholeFrom(1), 20)
  .parse()
  .opts<{ handovers: number }>();

/** The log's events of one handover, from the pause on, in ms. */
type Phases = Readonly<Record<string, number>>;
type Line = Readonly<Record<string, unknown>>;

const PHASES = ["+pause", "+step-down", "+promote", "+promoted", "+master"];

/** In a log without a new +pause the phase was skipped. */
function phasesOf(lines: readonly Line[]): Phases {
  const at = (event: string): number =>
    Number(lines.findLast(({ msg }) => msg === event)?.["time"] ?? NaN);
  const beginMs = at("+pause");
  return Object.fromEntries(PHASES.map((event) => [event, at(event) - beginMs]));
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

const row = (what: string, values: readonly number[]): string =>
  `| ${[what, ...[0.5, 0.9, 1].map((part) => quantile(values, part).toFixed(0))].join(" | ")} |\n`;

async function logOf(cluster: FaultCluster, sinceMs: number): Promise<Line[]> {
  const logs = await Promise.all(["m1", "m2", "m3"].map((name) => cluster.log(name)));
  return logs.flat().filter(({ time }) => Number(time) >= sinceMs);
}

async function handOver(cluster: FaultCluster): Promise<void> {
  const [replica = ""] = (await cluster.partition(0)).replicas;
  const ran = await runTool("runtime", "twine-failover", cluster.config.file, replica);
  if (ran.code !== 0) throw new Error(`twine-failover ${replica}: ${ran.err}`);
}

const cluster = await FaultCluster.create(CONF);
try {
  await cluster.start();
  const writers = new BenchWriters(() => new Redis({ port: cluster.port("r1") }), "handover");
  writers.start();
  await delay(WINDOW_MS);
  const [quiet, handedOver]: [number[], number[]] = [[], []];
  const phases: Phases[] = [];
  const within = async (work: () => Promise<unknown>): Promise<number> => {
    const beginMs = performance.now();
    await Promise.all([work(), delay(WINDOW_MS)]);
    return longestOf(writers.gaps(), beginMs, performance.now());
  };
  for (let round = 0; round < handovers; round++) {
    quiet.push(await within(() => Promise.resolve()));
    const since = Date.now();
    handedOver.push(await within(() => handOver(cluster)));
    phases.push(phasesOf(await logOf(cluster, since)));
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
  }
  const { errors, lost, acknowledged } = await writers.stop();
  process.stdout.write("| ms | median | p90 | longest |\n| --- | ---: | ---: | ---: |\n");
  process.stdout.write(row("longest wait of a client, nothing changes", quiet));
  process.stdout.write(row("longest wait of a client, a handover", handedOver));
  for (const event of PHASES.slice(1)) {
    process.stdout.write(
      row(
        `from the pause to ${event}`,
        phases.map((one) => one[event] ?? NaN),
      ),
    );
  }
  process.stdout.write(
    `${handovers} handovers, ${errors} errors, ${lost} of ${acknowledged} lost; load ${(loadavg()[0] ?? 0).toFixed(0)}\n`,
  );
} finally {
  await cluster.remove();
}
