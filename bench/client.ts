// client.ts: the clients of this package beside ioredis straight to one node, interleaved in one process.
// `node bench/client.ts --help`; needs redis-server.
// Every round runs each workload with each contender, in turns that change from round to round, so that what the machine
// does meanwhile meets both. What counts is the median of the rounds' ratios; processor time is this process's own.
// RedCluster stands for both clients: it is the same engine, fed by a view that needs no monitors.
import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { Redis } from "ioredis";
import { RedCluster } from "../runtime/client/red/red-cluster.ts";
import { startRedis } from "../test/support/redis-server.ts";
import { wholeFrom } from "./option-values.ts";

const values = new Command("bench/client.ts")
  .description("The client library beside ioredis straight to one node (1.0).")
  .option("--partitions <n>", "partitions of the cluster", wholeFrom(1), 2)
  .option("--rounds <n>", "rounds of each workload", wholeFrom(1), 9)
  .option("--ms <n>", "milliseconds of each turn", wholeFrom(1), 700)
  .option("--json <file>", "where the figures are written")
  .addHelpText("after", "\nExample:\n  $ node bench/client.ts --rounds 5 --ms 300")
  .parse()
  .opts<{
    readonly partitions: number;
    readonly rounds: number;
    readonly ms: number;
    readonly json?: string;
  }>();

type Client = Redis;
/** Runs until `isOver` and gives the commands that were answered. */
type Workload = (client: Client, isOver: () => boolean) => Promise<number>;

const VALUE = "x".repeat(32);
const keyOf = (count: number): string => `key:${count % 10_000}`;

/** So many callers, each with one command at a time: every fourth a write. */
function callers(count: number): Workload {
  return async (client, isOver) => {
    let done = 0;
    const one = async (): Promise<void> => {
      while (!isOver()) {
        const key = keyOf(done * 7);
        if (done % 4 === 0) await client.set(key, VALUE);
        else await client.get(key);
        done++;
      }
    };
    await Promise.all(Array.from({ length: count }, one));
    return done;
  };
}

function pipelines(length: number): Workload {
  return async (client, isOver) => {
    let done = 0;
    while (!isOver()) {
      const pipeline = client.pipeline();
      for (let count = 0; count < length; count++) {
        const key = keyOf((done + count) * 7);
        if (count % 4 === 0) pipeline.set(key, VALUE);
        else pipeline.get(key);
      }
      await pipeline.exec();
      done += length;
    }
    return done;
  };
}

const WORKLOADS: Readonly<Record<string, Workload>> = {
  "one call at a time": callers(1),
  "50 in parallel": callers(50),
  "1,000 in parallel": callers(1000),
  "pipelines of 100": pipelines(100),
  "pipelines of 1,000": pipelines(1000),
};

interface Turn {
  readonly perSecond: number;
  readonly cpuMicroseconds: number;
}

async function turn(client: Client, workload: Workload, ms: number): Promise<Turn> {
  const startMs = performance.now();
  const cpu = process.cpuUsage();
  const done = await workload(client, () => performance.now() - startMs > ms);
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: done / seconds, cpuMicroseconds: (user + system) / done };
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const cleanUps: (() => Promise<void>)[] = [];
try {
  const start = () => startRedis([], (task) => cleanUps.push(task));
  const servers = await Promise.all(Array.from({ length: values.partitions + 1 }, start));
  const [straight, ...masters] = servers.map(({ port }) => ({ host: "127.0.0.1", port }));
  const ioredis = new Redis(straight?.port ?? 0, "127.0.0.1");
  const client = new RedCluster(
    masters.map((master) => ({ master })),
    { readFrom: "master" },
  );
  cleanUps.push(async () => {
    await Promise.all([ioredis.quit(), client.quit()]);
  });
  await client.ready();
  const figures: Record<string, object> = {};
  for (const [name, workload] of Object.entries(WORKLOADS)) {
    for (const one of [ioredis, client]) await turn(one, workload, values.ms / 2);
    const [own, others]: [Turn[], Turn[]] = [[], []];
    for (let round = 0; round < values.rounds; round++) {
      const isOwnFirst = round % 2 === 0;
      if (isOwnFirst) own.push(await turn(client, workload, values.ms));
      others.push(await turn(ioredis, workload, values.ms));
      if (!isOwnFirst) own.push(await turn(client, workload, values.ms));
    }
    const ratios = own.map(({ perSecond }, at) => perSecond / (others[at]?.perSecond ?? 1));
    const figure = {
      ratio: median(ratios),
      least: Math.min(...ratios),
      most: Math.max(...ratios),
      perSecond: Math.round(median(own.map(({ perSecond }) => perSecond))),
      ioredisPerSecond: Math.round(median(others.map(({ perSecond }) => perSecond))),
      cpuMicroseconds: median(own.map(({ cpuMicroseconds }) => cpuMicroseconds)),
      ioredisCpuMicroseconds: median(others.map(({ cpuMicroseconds }) => cpuMicroseconds)),
    };
    figures[name] = figure;
    process.stdout.write(
      `${name}: ${figure.ratio.toFixed(2)} (${figure.least.toFixed(2)} to ${figure.most.toFixed(2)}), ` +
        `${figure.perSecond} beside ${figure.ioredisPerSecond} a second, processor time ` +
        `${figure.cpuMicroseconds.toFixed(1)} beside ${figure.ioredisCpuMicroseconds.toFixed(1)} us\n`,
    );
  }
  if (values.json !== undefined) {
    await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  }
} finally {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
}
