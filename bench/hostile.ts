// hostile.ts: a hostile client of each kind beside honest ones of the same partition: what the honest notice of it.
// `node bench/hostile.ts --help`; needs redis-server.
// Every round measures the honest clients alone and with each kind beside them, in an order that turns from round to round.
// The router, the hostile client and the honest ones are three processes. What counts is the median of the rounds' ratios.
import { spawn, type ChildProcess } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { encodeCommand } from "../runtime/resp/encode.ts";
import { freePort } from "../test/support/port-claims.ts";
import { startRedis, until } from "../test/support/redis-server.ts";
import { RawClient } from "../test/support/router-cluster.ts";
import { KINDS } from "./hostile/kinds.ts";
import { someOf, wholeFrom } from "./option-values.ts";

const ALL = Object.keys(KINDS);

const values = new Command("bench/hostile.ts")
  .description("Honest clients of a router, alone and beside a hostile one of each kind.")
  .option("--kinds <list>", `some of ${ALL.join(",")}`, someOf(ALL), ALL)
  .option("--clients <n>", "honest clients", wholeFrom(1), 20)
  .option("--rounds <n>", "rounds", wholeFrom(1), 9)
  .option("--ms <n>", "milliseconds of each turn", wholeFrom(1), 2000)
  .option("--direct", "the same clients at the redis-server itself, without a router, to compare")
  .option("--json <file>", "where the figures are written")
  .addHelpText("after", "\nExample:\n  $ node bench/hostile.ts --rounds 2 --ms 300")
  .parse()
  .opts<{
    readonly kinds: readonly string[];
    readonly clients: number;
    readonly rounds: number;
    readonly ms: number;
    readonly direct?: boolean;
    readonly json?: string;
  }>();

const ALONE = "alone";
/** After a hostile client has begun or gone, before anything is measured. */
const SETTLE_MS = 300;
const cleanUps: (() => Promise<void>)[] = [];

interface Turn {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
  /** Replies that were errors, or not what was written. */
  readonly errors: number;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await exit;
}

async function startRouterProcess(nodePort: number): Promise<number> {
  const port = await freePort();
  const program = join(import.meta.dirname, "router-process.ts");
  const args = [program, String(port), String(nodePort)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  cleanUps.push(() => ended(child, "SIGTERM"));
  await until("the router answers", async () => {
    const client = await RawClient.open(port).catch(() => undefined);
    const reply = await client?.call("PING");
    client?.socket.destroy();
    return reply === "+PONG\r\n";
  });
  return port;
}

/** Every client sets its own key and gets it again, one command at a time. */
async function honest(port: number): Promise<Turn> {
  const latencies: number[] = [];
  let errors = 0;
  const startMs = performance.now();
  const isOver = (): boolean => performance.now() - startMs > values.ms;
  const one = async (_: unknown, number: number): Promise<void> => {
    const client = await RawClient.open(port);
    const key = `honest:${number}`;
    for (let count = 0; !isOver(); count++) {
      const value = `value:${count}`;
      for (const [command, wanted] of [
        [encodeCommand(["SET", key, value]), "+OK\r\n"],
        [encodeCommand(["GET", key]), `$${value.length}\r\n${value}\r\n`],
      ] as const) {
        const sentMs = performance.now();
        client.send(command);
        if ((await client.reply()) !== wanted) errors++;
        latencies.push(performance.now() - sentMs);
      }
    }
    client.socket.destroy();
  };
  await Promise.all(Array.from({ length: values.clients }, one));
  const seconds = (performance.now() - startMs) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99), perSecond: latencies.length / seconds, errors };
}

async function beside(kind: string, port: number): Promise<Turn> {
  if (kind === ALONE) return honest(port);
  const program = join(import.meta.dirname, "hostile/attacker.ts");
  const child = spawn(process.execPath, [program, kind, String(port)], { stdio: "ignore" });
  try {
    await pause(SETTLE_MS);
    return await honest(port);
  } finally {
    await ended(child, "SIGKILL");
    await pause(SETTLE_MS);
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** One kind through all rounds, beside the same rounds without it. */
function figuresOf(turns: readonly Turn[], alone: readonly Turn[]) {
  const ratios = turns.map(({ p99Ms }, at) => p99Ms / (alone[at]?.p99Ms ?? Number.NaN));
  return {
    p99Ratio: median(ratios),
    least: Math.min(...ratios),
    most: Math.max(...ratios),
    p50Ms: median(turns.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(turns.map(({ p99Ms }) => p99Ms)),
    perSecond: Math.round(median(turns.map(({ perSecond }) => perSecond))),
    errors: turns.reduce((sum, { errors }) => sum + errors, 0),
  };
}

try {
  const server = await startRedis([], (task) => cleanUps.push(task));
  const port = values.direct === true ? server.port : await startRouterProcess(server.port);
  const kinds = [ALONE, ...values.kinds];
  const turns = new Map<string, Turn[]>(kinds.map((kind) => [kind, []]));
  await honest(port);
  for (let round = 0; round < values.rounds; round++) {
    const first = round % kinds.length;
    for (const kind of [...kinds.slice(first), ...kinds.slice(0, first)]) {
      turns.get(kind)?.push(await beside(kind, port));
    }
  }
  const alone = turns.get(ALONE) ?? [];
  const figures = Object.fromEntries(
    kinds.map((kind) => [kind, figuresOf(turns.get(kind) ?? [], alone)]),
  );
  for (const [kind, figure] of Object.entries(figures)) {
    const { p99Ratio, least, most, p50Ms, p99Ms, perSecond, errors } = figure;
    process.stdout.write(
      `${kind}: p99 ${p99Ratio.toFixed(2)} of that alone (${least.toFixed(2)} to ${most.toFixed(2)}), ` +
        `${p99Ms.toFixed(2)} ms, median ${p50Ms.toFixed(2)} ms, ${perSecond} a second, ${errors} errors\n`,
    );
  }
  if (values.json !== undefined) {
    await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  }
} finally {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
}
