// start.ts: how long from nothing to OK: 64 partitions of 2 nodes by twine-start, beside the time in which the same 128
// redis-servers start bare. Interleaved, medians. `node bench/start.ts [runs]`; needs redis-server and a built checkout.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const RUNS = Number(process.argv[2] ?? 3);
const PARTITIONS = 64;
const FIRST_PORT = 14_200;
const BINS = resolve(import.meta.dirname, "../node_modules/.bin");

const ports = Array.from({ length: PARTITIONS * 2 }, (_, index) => FIRST_PORT + index);

function confText(): string {
  const data = ports.map(
    (port, index) => `n${port}=data ${index % PARTITIONS} localhost ${port} 0`,
  );
  const base = FIRST_PORT + PARTITIONS * 2;
  const others = [0, 1, 2].flatMap((index) => [
    `s${index}=status localhost ${base + index} 0`,
    `m${index}=monitor localhost ${base + 10 + index}`,
  ]);
  return [...data, ...others, `r0=router localhost ${base + 20}`, "redis appendonly yes"].join(
    "\n",
  );
}

function run(command: string, args: string[], cwd: string): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd, stdio: "ignore" });
    child.on("error", fail);
    child.on("close", (code) => {
      done(code ?? -1);
    });
  });
}

interface Timing {
  readonly startMs: number;
  readonly okMs: number;
}

/** twine-start, then twine-status until it ends with 0. Set-up is done before and not counted. */
async function twineMs(): Promise<Timing> {
  const folder = await mkdtemp(join(tmpdir(), "twine-bench-"));
  try {
    await writeFile(join(folder, "twine.conf"), confText());
    await run(join(BINS, "twine-setup"), [], folder);
    const beginMs = performance.now();
    const code = await run(join(BINS, "twine-start"), [], folder);
    if (code !== 0) throw new Error(`twine-start ended with ${code}`);
    const startMs = performance.now() - beginMs;
    while ((await run(join(BINS, "twine-status"), [], folder)) !== 0) {
      if (performance.now() - beginMs > 120_000) throw new Error("not OK within two minutes");
    }
    return { startMs, okMs: performance.now() - beginMs };
  } finally {
    await run(join(BINS, "twine-stop"), [], folder);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The same 128 redis-servers, started at once, until each answers a connection with a reply. */
async function bareMs(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "twine-bench-"));
  const children: ChildProcess[] = [];
  try {
    for (const port of ports) await mkdir(join(folder, String(port)));
    const beginMs = performance.now();
    for (const port of ports) {
      const args = ["--port", String(port), "--dir", join(folder, String(port))];
      args.push("--appendonly", "yes", "--bind", "127.0.0.1");
      children.push(spawn("redis-server", args, { stdio: "ignore" }));
    }
    await Promise.all(ports.map(untilAnswers));
    return performance.now() - beginMs;
  } finally {
    const ends = children.map((child) => new Promise((done) => child.once("exit", done)));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ends);
    await rm(folder, { recursive: true, force: true });
  }
}

async function untilAnswers(port: number): Promise<void> {
  while (!(await answers(port))) await new Promise((done) => setTimeout(done, 10));
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.once("data", (data) => {
      socket.destroy();
      done(data.toString().startsWith("+PONG"));
    });
    socket.once("error", () => {
      done(false);
    });
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

const bare: number[] = [];
const twine: Timing[] = [];
for (let index = 0; index < RUNS; index++) {
  bare.push(await bareMs());
  twine.push(await twineMs());
}
const seconds = (ms: number): string => (ms / 1000).toFixed(2);
const row = (what: string, values: readonly number[]): string =>
  `| ${what} | ${seconds(median(values))} | ${seconds(Math.max(...values))} |`;
process.stdout.write(
  [
    `${PARTITIONS} partitions of 2 nodes, ${RUNS} runs, interleaved`,
    "",
    "| what | median s | slowest s |",
    "| --- | ---: | ---: |",
    row("128 redis-servers started bare, all answer", bare),
    row(
      "twine-start, all answer",
      twine.map((timing) => timing.startMs),
    ),
    row(
      "twine-start until OK",
      twine.map((timing) => timing.okMs),
    ),
    "",
  ].join("\n"),
);
