// handover.ts: what clients wait for in a planned handover, phase by phase from the monitors' log, beside the longest wait of the
// same clients in as long a time in which the same command changes nothing, because the node that it names is master already: the
// command's own process takes a processor too. `node bench/handover.ts --help`; needs redis-server.
import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { Redis } from "ioredis";
import { byLetter, clusterConf } from "../test/support/cluster-conf.ts";
import { FaultCluster } from "../test/support/fault-cluster.ts";
import { runTool } from "../test/support/run-tool.ts";
import { BenchWriters, longestOf, type Gap } from "./apply/writer.ts";
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
interface Around {
  readonly beforeMs: number;
  readonly afterMs: number;
}
type Line = Readonly<Record<string, unknown>>;

const PHASES = ["+pause", "+step-down", "+promoted", "+master"];

/** In a log without a new +pause the phase was skipped. */
function phasesOf(lines: readonly Line[]): Phases {
  const beginMs = timeOf(lines, "+pause");
  return Object.fromEntries(PHASES.map((event) => [event, timeOf(lines, event) - beginMs]));
}

function timeOf(lines: readonly Line[], event: string): number {
  return Number(lines.findLast(({ msg }) => msg === event)?.["time"] ?? NaN);
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

async function makeMaster(cluster: FaultCluster, node: string): Promise<void> {
  const ran = await runTool("runtime", "twine-failover", cluster.config.file, node);
  if (ran.code !== 0) throw new Error(`twine-failover ${node}: ${ran.err}`);
}

/** Of the longest wait around the handover: how much of it was before the pause, and after the view named the new master. */
function around(gap: Gap | undefined, pausedAtMs: number, servedAtMs: number): Around {
  const toMs = performance.timeOrigin + (gap?.toMs ?? NaN);
  const fromMs = performance.timeOrigin + (gap?.fromMs ?? NaN);
  return { beforeMs: pausedAtMs - fromMs, afterMs: toMs - servedAtMs };
}

const cluster = await FaultCluster.create(CONF);
try {
  await cluster.start();
  const writers = new BenchWriters(() => new Redis({ port: cluster.port("r1") }), "handover");
  writers.start();
  await delay(WINDOW_MS);
  const [quiet, handedOver]: [number[], number[]] = [[], []];
  const phases: Phases[] = [];
  const arounds: Around[] = [];
  const within = async (work: () => Promise<unknown>): Promise<number> => {
    const beginMs = performance.now();
    await Promise.all([work(), delay(WINDOW_MS)]);
    return longestOf(writers.gaps(), beginMs, performance.now());
  };
  for (let round = 0; round < handovers; round++) {
    const { master, replicas } = await cluster.partition(0);
    quiet.push(await within(() => makeMaster(cluster, master ?? "")));
    const since = Date.now();
    handedOver.push(await within(() => makeMaster(cluster, replicas[0] ?? "")));
    const lines = await logOf(cluster, since);
    phases.push(phasesOf(lines));
    const [pausedAtMs, servedAtMs] = [timeOf(lines, "+pause"), timeOf(lines, "+master")];
    const across = writers.gaps().filter(({ fromMs, toMs }) => {
      const [begun, ended] = [fromMs, toMs].map((ms) => performance.timeOrigin + ms);
      return (begun ?? 0) <= servedAtMs && (ended ?? 0) >= servedAtMs;
    });
    const longest = across.toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs))[0];
    arounds.push(around(longest, pausedAtMs, servedAtMs));
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
  }
  const [before, after] = [arounds.map((one) => one.beforeMs), arounds.map((one) => one.afterMs)];
  process.stdout.write(row("the wait began before the pause", before));
  process.stdout.write(row("it ended after +master", after));
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
