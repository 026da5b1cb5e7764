// seed.ts: the seed's benchmark table: redis-benchmark with its arguments, straight at each shard's master, through twemproxy
// and through Twine's router, in one run, with the seed's own figures beside. `node bench/seed.ts --help`.
// The seed's figures are of its machine (redis 2.8, twemproxy 0.4.1): only the ratios can be compared.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { freePort } from "../test/support/port-claims.ts";
import { startRedis } from "../test/support/redis-server.ts";
import { wholeFrom } from "./option-values.ts";
import { endAll, onEnd, startNutcracker, startProcess } from "./side-by-side.ts";

/** As the seed's page has them: straight at a shard, and through twemproxy. */
const SEED: Readonly<Record<string, readonly [direct: number, twemproxy: number]>> = {
  SET: [147_058.81, 99_009.9],
  GET: [526_315.81, 156_250],
  INCR: [161_290.33, 99_009.9],
  LPUSH: [153_846.16, 96_153.84],
  LPOP: [169_491.53, 98_039.22],
  SADD: [500_000, 144_927.55],
  SPOP: [555_555.56, 169_491.53],
  "LPUSH (needed to benchmark LRANGE)": [151_515.16, 95_238.1],
  "LRANGE_100 (first 100 elements)": [60_975.61, 30_211.48],
  "LRANGE_300 (first 300 elements)": [13_986.01, 10_822.51],
  "LRANGE_500 (first 500 elements)": [8_525.15, 7_027.41],
  "LRANGE_600 (first 600 elements)": [6_184.29, 5_089.06],
};
const TESTS = "set,get,incr,lpush,lpop,sadd,spop,lpush,lrange";
const TARGETS = ["shard 1", "shard 2", "twemproxy", "twine"] as const;
type Target = (typeof TARGETS)[number];

const { rounds, requests } = new Command("bench/seed.ts")
  .description(
    `redis-benchmark -q -t ${TESTS} -c 100 -P 16 at two shards, through twemproxy and through Twine's router.`,
  )
  .option("--rounds <n>", "turns of each, of which the median counts", wholeFrom(1), 3)
  .option("--requests <n>", "of each test (redis-benchmark -n)", wholeFrom(1000), 100_000)
  .addHelpText("after", "\nExample:\n  $ node bench/seed.ts --rounds 1 --requests 20000")
  .parse()
  .opts<{ readonly rounds: number; readonly requests: number }>();

/** Requests per second by test. */
async function measure(port: number): Promise<ReadonlyMap<string, number>> {
  const args = ["-p", String(port), "-t", TESTS, "-c", "100", "-P", "16", "-n", String(requests)];
  const { stdout } = await promisify(execFile)("redis-benchmark", [...args, "--csv"]);
  const found = new Map<string, number>();
  for (const line of stdout.trim().split("\n")) {
    const [, test = "", perSecond = ""] = /^"([^"]+)","([\d.]+)"/.exec(line) ?? [];
    if (Object.hasOwn(SEED, test)) found.set(test, Number(perSecond));
  }
  return found;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

const WIDTHS = [12, 9, 9, 9, 9, 10, 10, 9, 9, 9];

function line(cells: readonly string[]): void {
  process.stdout.write(
    `${cells.map((cell, at) => (at === 0 ? cell.padEnd(12) : cell.padStart(WIDTHS[at] ?? 9))).join(" ")}\n`,
  );
}

function show(test: string, rates: Readonly<Record<Target, number>>): void {
  const [direct, twemproxy] = SEED[test] ?? [0, 0];
  const own = (rates["shard 1"] + rates["shard 2"]) / 2;
  line([
    test.startsWith("LPUSH (") ? "LPUSH (2nd)" : (test.split(" ")[0] ?? test),
    ...[direct, twemproxy].map((rate) => rate.toFixed(0)),
    ...TARGETS.map((target) => rates[target].toFixed(0)),
    (twemproxy / direct).toFixed(2),
    (rates.twemproxy / own).toFixed(2),
    (rates.twine / own).toFixed(2),
  ]);
}

async function run(): Promise<void> {
  const shards = [await startRedis([], onEnd), await startRedis([], onEnd)];
  const masters = shards.map(({ port }) => port);
  const routerPort = await freePort();
  const routerArgs = [join(import.meta.dirname, "router-process.ts"), routerPort, ...masters];
  await startProcess(routerPort, process.execPath, [
    ...process.execArgv,
    ...routerArgs.map(String),
  ]);
  const ports: Readonly<Record<Target, number>> = {
    ...{ "shard 1": masters[0] ?? 0, "shard 2": masters[1] ?? 0 },
    ...{ twemproxy: (await startNutcracker(masters)).port, twine: routerPort },
  };
  const samples = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const target of TARGETS) {
      for (const [test, rate] of await measure(ports[target])) {
        const key = `${target} ${test}`;
        samples.set(key, [...(samples.get(key) ?? []), rate]);
      }
    }
  }
  for (const test of Object.keys(SEED)) {
    const rateOf = (target: Target): number => median(samples.get(`${target} ${test}`) ?? []);
    show(test, {
      ...{ "shard 1": rateOf("shard 1"), "shard 2": rateOf("shard 2") },
      ...{ twemproxy: rateOf("twemproxy"), twine: rateOf("twine") },
    });
  }
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => void endAll().then(() => process.exit(1)));
}
process.stdout.write("requests per second; the last three: what is left of a shard's own rate\n");
line(["", "seed", "seed", "now", "now", "now", "now", "seed", "now", "now"]);
line([
  "test",
  "direct",
  "twempr",
  "shard 1",
  "shard 2",
  "twemproxy",
  "twine",
  "twempr",
  "twempr",
  "twine",
]);
try {
  await run();
} finally {
  await endAll();
}
