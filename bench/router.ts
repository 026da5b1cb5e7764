// router.ts: the router beside twemproxy (nutcracker) and bare Redis, one process each, interleaved round by round in one
// run. `node bench/router.ts --help`; needs redis-server, redis-benchmark and nutcracker.
// Throughput and p99 are medians over the rounds. Read the ratios: absolute figures belong to the machine.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { freePort } from "../test/support/port-claims.ts";
import { startRedis } from "../test/support/redis-server.ts";
import { someOf, wholeFrom } from "./option-values.ts";
import { endAll, onEnd, startNutcracker, startProcess, type Target } from "./side-by-side.ts";

/** Long enough that what is measured is the running router, not a hundred connections being made and code being compiled. */
const LOADS: Readonly<Record<string, { readonly args: string; readonly requests: number }>> = {
  P16: { args: "-c 100 -P 16", requests: 1_000_000 },
  P1: { args: "-c 50 -P 1", requests: 150_000 },
};
const TESTS = ["SET", "GET", "INCR", "LPUSH", "LPOP", "SADD", "SPOP", "LRANGE_100", "MSET", "MGET"];

const values = new Command("bench/router.ts")
  .description("Throughput, p99 and processor time of the router beside twemproxy and bare Redis.")
  .option("--rounds <n>", "turns of each, of which the median counts", wholeFrom(1), 3)
  .option(
    "--partitions <n,n>",
    "numbers of partitions",
    (text) => text.split(",").map(wholeFrom(1)),
    [1, 4],
  )
  .option("--only <tests>", TESTS.join(","), someOf(TESTS), TESTS)
  .option(
    "--load <loads>",
    "P16: -c 100 -P 16; P1: -c 50 -P 1",
    someOf(Object.keys(LOADS)),
    Object.keys(LOADS),
  )
  .option("--json <file>", "where the rows are written")
  .addHelpText(
    "after",
    "\nExample:\n  $ node bench/router.ts --rounds 5 --partitions 1 --only SET,GET --load P16",
  )
  .parse()
  .opts<{
    readonly rounds: number;
    readonly partitions: number[];
    readonly only: string[];
    readonly load: string[];
    readonly json?: string;
  }>();
/** These answer or carry ten to a hundred values each. */
const HEAVY = new Set(["LRANGE_100", "MSET", "MGET"]);
const MGET = ["mget", ...Array.from({ length: 10 }, () => "key:__rand_int__")];

interface Sample {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the measured process, per request. It shows a change better than throughput does when the cores are shared. */
  readonly cpuUs: number;
}

interface Row {
  readonly load: string;
  readonly partitions: number;
  readonly test: string;
  readonly twine: Sample;
  readonly twemproxy: Sample;
  readonly redis: Sample;
}

/** User and system time so far. Linux counts in ticks of 10 ms. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const [, , , , , , , , , , , user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(user) + Number(system)) * 10;
}

async function measure({ port, pid }: Target, test: string, load: string): Promise<Sample> {
  const { args = "", requests = 0 } = LOADS[load] ?? {};
  const count = HEAVY.has(test) ? requests / 4 : requests;
  const what = test === "MGET" ? MGET : ["-t", test.toLowerCase()];
  const beforeMs = await cpuMs(pid);
  const { stdout } = await promisify(execFile)("redis-benchmark", [
    ...["-p", String(port), ...args.split(" "), "-n", String(count), "-r", "10000", "--csv"],
    ...what,
  ]);
  // LRANGE fills its list first, which is a row of its own: the last row counts.
  const cells = (stdout.trim().split("\n").at(-1) ?? "").split('","');
  const [, perSecond, , , p50, , p99] = cells.map((cell) => Number(cell.replaceAll('"', "")));
  const cpuUs = (((await cpuMs(pid)) - beforeMs) * 1000) / count;
  return { perSecond: perSecond ?? 0, p50Ms: p50 ?? 0, p99Ms: p99 ?? 0, cpuUs };
}

function median(samples: readonly Sample[]): Sample {
  const middle = (of: (sample: Sample) => number): number =>
    samples.map(of).sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0;
  return {
    perSecond: middle((sample) => sample.perSecond),
    p50Ms: middle((sample) => sample.p50Ms),
    p99Ms: middle((sample) => sample.p99Ms),
    cpuUs: middle((sample) => sample.cpuUs),
  };
}

const HEAD = [
  "load",
  "parts",
  "test",
  "redis/s",
  "twempr/s",
  "twine/s",
  "x twempr",
  "p99 tw/nut ms",
];
const WIDTHS = [5, 6, 11, 9, 9, 9, 9, 16, 14];

function line(cells: readonly string[]): void {
  process.stdout.write(`${cells.map((cell, at) => cell.padStart(WIDTHS[at] ?? 9)).join(" ")}\n`);
}

function show({ load, partitions, test, twine, twemproxy, redis }: Row): void {
  const rates = [redis, twemproxy, twine].map(({ perSecond }) => perSecond.toFixed(0));
  const ratio = (twine.perSecond / twemproxy.perSecond).toFixed(2);
  const p99 = `${twine.p99Ms.toFixed(2)}/${twemproxy.p99Ms.toFixed(2)}`;
  const cpu = `${twine.cpuUs.toFixed(2)}/${twemproxy.cpuUs.toFixed(2)}`;
  line([load, String(partitions), test, ...rates, ratio, p99, cpu]);
}

async function compare(partitions: number, loads: readonly string[]): Promise<Row[]> {
  const servers = await Promise.all(
    Array.from({ length: partitions }, () => startRedis([], onEnd)),
  );
  const masters = servers.map(({ port }) => port);
  const routerPort = await freePort();
  const routerArgs = [join(import.meta.dirname, "router-process.ts"), routerPort, ...masters];
  const args = [...process.execArgv, ...routerArgs.map(String)];
  const routerPid = await startProcess(routerPort, process.execPath, args);
  const targets = {
    redis: { port: masters[0] ?? 0, pid: process.pid },
    twemproxy: await startNutcracker(masters),
    twine: { port: routerPort, pid: routerPid },
  };
  const rows: Row[] = [];
  for (const load of loads) {
    for (const test of values.only) {
      const samples = { redis: [] as Sample[], twemproxy: [] as Sample[], twine: [] as Sample[] };
      for (let round = 0; round < values.rounds; round++) {
        for (const name of ["redis", "twemproxy", "twine"] as const) {
          samples[name].push(await measure(targets[name], test, load));
        }
      }
      const { redis, twemproxy, twine } = samples;
      const medians = { redis: median(redis), twemproxy: median(twemproxy), twine: median(twine) };
      const row = { load, partitions, test, ...medians };
      show(row);
      rows.push(row);
    }
  }
  return rows;
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => void endAll().then(() => process.exit(1)));
}
line(HEAD);
try {
  const rows: Row[] = [];
  for (const partitions of values.partitions) {
    rows.push(...(await compare(partitions, values.load)));
    await endAll();
  }
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
} finally {
  await endAll();
}
