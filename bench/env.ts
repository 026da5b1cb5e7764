// env.ts: how long `twine-env up` of the shipped twine.conf takes until OK, alone and eight side by side, and how long until
// nothing is left. `node bench/env.ts --help`; needs redis-server. To reach: 5 s for one.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { wholeFrom } from "./option-values.ts";

const values = new Command("bench/env.ts")
  .description("How long twine-env up takes until OK, alone and eight side by side.")
  .option("--runs <n>", "runs of one environment", wholeFrom(0), 3)
  .option("--side-by-side <n>", "runs of eight side by side", wholeFrom(0), 3)
  .addHelpText("after", "\nExample:\n  $ node bench/env.ts --runs 4 --side-by-side 1")
  .parse()
  .opts<{ readonly runs: number; readonly sideBySide: number }>();
const SIDE_BY_SIDE = 8;
const ROOT = resolve(import.meta.dirname, "..");
const run = promisify(execFile);

interface Timing {
  readonly upMs: number;
  readonly downMs: number;
}

/** All of `count` environments: until the last one is OK; until nothing of the last one is left. */
async function timed(count: number): Promise<Timing> {
  const root = await mkdtemp(join(tmpdir(), "twine-bench-"));
  const env = { ...process.env, TWINE_ENVS: root };
  const tool = (...args: string[]): Promise<unknown> =>
    run(process.execPath, [join(ROOT, "infra/bin/twine-env.ts"), ...args], { env });
  const names = Array.from({ length: count }, (_, index) => `bench-${index}`);
  try {
    const beginMs = performance.now();
    const up = ["--conf", join(ROOT, "twine.conf"), "--wait", "180s"];
    // Nothing stays when this bench is ended.
    up.push("--owner", String(process.pid));
    await Promise.all(names.map((name) => tool("up", name, ...up)));
    const upMs = performance.now() - beginMs;
    await Promise.all(names.map((name) => tool("down", name)));
    return { upMs, downMs: performance.now() - beginMs - upMs };
  } finally {
    for (const name of names.filter((name) => existsSync(join(root, name)))) {
      await tool("down", name).catch(() => undefined);
    }
    await rm(root, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

const seconds = (ms: number): string => (ms / 1000).toFixed(2);

function row(what: string, values: readonly number[]): string {
  return `| ${what} | ${seconds(median(values))} | ${seconds(Math.max(...values))} |`;
}

const load = (await readFile("/proc/loadavg", "utf8")).split(" ")[0] ?? "";
process.stdout.write(`the shipped twine.conf, load ${load} before\n\n`);
process.stdout.write("| what | median s | slowest s |\n| --- | ---: | ---: |\n");
for (const [count, runs] of [
  [1, values.runs],
  [SIDE_BY_SIDE, values.sideBySide],
] as const) {
  if (runs === 0) continue;
  const timings: Timing[] = [];
  for (let index = 0; index < runs; index++) timings.push(await timed(count));
  const what = count === 1 ? "one environment" : `${count} side by side`;
  const upMs = timings.map((timing) => timing.upMs);
  const downMs = timings.map((timing) => timing.downMs);
  process.stdout.write(`${row(`${what}: up, until OK`, upMs)}\n${row(`${what}: down`, downMs)}\n`);
}
