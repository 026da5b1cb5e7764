// rotate.ts: what clients notice of a rotation of the password: a checked writer and redis-benchmark go on through the router while
// twine-password rotates, finishes and rotates back. `node bench/rotate.ts --help`; needs redis-server and redis-benchmark.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { CheckedWriter } from "../infra/env/chaos/checked-writer.ts";
import { startCluster } from "../infra/env/start-cluster.ts";
import type { View } from "../runtime/core/view.ts";
import { wholeFrom } from "./option-values.ts";

const values = new Command("bench/rotate.ts")
  .description("Errors, longest gap and handovers of a rotation of the password, under load.")
  .option("--runs <n>", "rotations", wholeFrom(1), 3)
  .addHelpText("after", "\nExample:\n  $ node bench/rotate.ts --runs 5")
  .parse()
  .opts<{ readonly runs: number }>();
const ROOT = resolve(import.meta.dirname, "..");
const run = promisify(execFile);
const REST_MS = 10_000;
const TEXT_MAX = 64 * 1024 * 1024;

const passwordOf = (count: number): string => `password-${count}`;
const cluster = await startCluster({ password: passwordOf(0), waitMs: 180_000 });
const env = {
  ...process.env,
  TWINE_PASSWORD_FILE: join(cluster.folder, "secrets/password"),
};
const tool = async (bin: string, ...args: string[]): Promise<string> => {
  const file = join(ROOT, bin);
  const options = ["--conf", cluster.conf, "--dir", cluster.folder];
  return (await run(process.execPath, [file, ...args, ...options], { env, maxBuffer: TEXT_MAX }))
    .stdout;
};
const masters = async (): Promise<string> => {
  const view = JSON.parse(await tool("runtime/bin/twine-status.ts", "json")) as View;
  return view.partitions.map(({ master }) => master).join(" ");
};

interface Row {
  readonly seconds: number;
  readonly errors: number;
  readonly lost: number;
  readonly longestGapMs: number;
  /** The same in ten seconds before it. */
  readonly restGapMs: number;
  readonly acknowledged: number;
  readonly benchmarkPerS: number;
  readonly benchmarkErrors: number;
  readonly handovers: number;
}

const [router] = cluster.routers;
if (router === undefined) throw new Error("the shipped twine.conf has a router");

/** redis-benchmark until it is told to stop; its rate, and how many of its runs failed. */
async function load(
  password: string,
  stop: AbortSignal,
): Promise<{ perS: number; errors: number }> {
  const rates: number[] = [];
  let errors = 0;
  while (!stop.aborted) {
    const args = ["-h", router?.host ?? "", "-p", String(router?.port), "-a", password];
    const more = ["-t", "set", "-n", "20000", "-r", "100000", "-c", "20", "--csv"];
    try {
      const { stdout, stderr } = await run("redis-benchmark", [...args, ...more]);
      rates.push(Number(/"SET","([\d.]+)"/.exec(stdout)?.[1] ?? NaN));
      if (/error/i.test(stderr)) errors++;
    } catch {
      errors++;
    }
  }
  return { perS: rates.reduce((sum, rate) => sum + rate, 0) / rates.length, errors };
}

async function rotation(count: number): Promise<Row> {
  const [old, fresh] = [passwordOf(count), passwordOf(count + 1)];
  const writer = new CheckedWriter({
    ...{ routers: cluster.routers, isTls: false, prefix: `rotation-${count}` },
    ...{ credentials: { username: "app", password: old }, durationMs: 30_000 },
    answerWithinMs: 20_000,
  });
  const before = await masters();
  const stop = new AbortController();
  writer.start();
  const loading = load(old, stop.signal);
  await new Promise((done) => setTimeout(done, REST_MS));
  // What the machine itself makes of it.
  const { longestGapMs: restGapMs } = writer.look();
  const beginMs = performance.now();
  const file = join(cluster.folder, `next-${count}`);
  await writeFile(file, `${fresh}\n`, { mode: 0o600 });
  await tool("infra/bin/twine-password.ts", "--rotate", "--new-file", file);
  // Programs get the new one now: the load, which connects anew all the time, takes it.
  stop.abort();
  const { perS, errors: benchmarkErrors } = await loading;
  const stopNew = new AbortController();
  const loadingNew = load(fresh, stopNew.signal);
  await tool("infra/bin/twine-password.ts", "--finish");
  const seconds = (performance.now() - beginMs) / 1000;
  stopNew.abort();
  const after = await loadingNew;
  await writer.stop();
  const { errors, longestGapMs } = writer.look();
  // It is connected since before; what reads back is one of its own connections.
  const { acknowledged, lost } = await writer.check();
  writer.close();
  return {
    ...{ seconds, lost, acknowledged, longestGapMs, restGapMs },
    errors: Object.values(errors).reduce((sum, each) => sum + each, 0),
    benchmarkPerS: Math.round((perS + after.perS) / 2),
    benchmarkErrors: benchmarkErrors + after.errors,
    handovers: before === (await masters()) ? 0 : 1,
  };
}

try {
  const loadBefore = (await readFile("/proc/loadavg", "utf8")).split(" ")[0] ?? "";
  const rows: Row[] = [];
  for (let count = 0; count < values.runs; count++) rows.push(await rotation(count));
  process.stdout.write(
    `${rows.length} rotations of the shipped twine.conf, load ${loadBefore} before\n\n`,
  );
  for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
} finally {
  await cluster.stop();
}
