// reshard.ts: what a move of keys costs the clients of a running cluster: twine-reshard, and beside it `redis-cli --cluster
// reshard` of Redis Cluster, under the same mixed writes whose every value is known; all keys are compared at the end.
// `node bench/reshard.ts --help`; needs redis-server and redis-cli.
import { loadavg } from "node:os";
import { Command } from "commander";
import { systemClock as clock } from "../runtime/ports/clock.ts";
import { BATCH, CountedWriter } from "../test/support/counted-writer.ts";
import { fillKeys, wrongKeys } from "./reshard/fill.ts";
import { Gauge } from "./reshard/gauge.ts";
import { MOVES, startMovable, type Movable, type Moved } from "./reshard/moves.ts";
import { someOf, wholeFrom } from "./option-values.ts";
import { endAll } from "./side-by-side.ts";

interface Options {
  keys: number;
  writers: number;
  rate: number;
  runs: number;
  cases: string[];
  before: number;
  verify: boolean;
  copyRate?: string;
}

const options = new Command("bench/reshard.ts")
  .description("Moves keys of a running cluster to other nodes under writes that are all checked.")
  .option("--keys <n>", "keys beside those of the writers", wholeFrom(0), 20_000)
  .option("--writers <n>", `clients, each with batches of ${BATCH} writes`, wholeFrom(0), 4)
  .option("--rate <n>", "writes a second of all writers; 0: as many as they can", wholeFrom(0), 0)
  .option("--runs <n>", "of each case, alternating", wholeFrom(1), 1)
  .option("--cases <list>", MOVES.join(","), someOf(MOVES), [...MOVES])
  .option("--before <seconds>", "of writes before the move", wholeFrom(1), 5)
  .option("--copy-rate <limit>", "--rate of twine-reshard")
  .option("--no-verify", "twine-reshard does not compare the keys before its switch")
  .addHelpText("after", "\nExample:\n  $ node bench/reshard.ts --keys 2000 --cases 2to3,peer")
  .parse()
  .opts<Options>();

interface Measured {
  readonly writesPerSecond: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  readonly seconds: number;
}

interface Row extends Moved {
  readonly before: Measured;
  readonly during: Measured;
  readonly errors: number;
  readonly wrong: number;
}

async function measured(
  writer: CountedWriter,
  gauge: Gauge,
  work: () => Promise<unknown>,
): Promise<Measured> {
  const [from, beganMs] = [writer.acknowledged, clock.nowMs()];
  gauge.take();
  await work();
  const seconds = (clock.nowMs() - beganMs) / 1000;
  const writesPerSecond = Math.round((writer.acknowledged - from) / seconds);
  return { ...gauge.take(), writesPerSecond, seconds };
}

function moreOptions(): string[] {
  const { verify, copyRate } = options;
  return [
    ...(verify ? [] : ["--no-verify"]),
    ...(copyRate === undefined ? [] : ["--rate", copyRate]),
  ];
}

async function moveUnderWrites(movable: Movable): Promise<Row> {
  const { keys, writers, rate, before: beforeS } = options;
  const link = await movable.open();
  await fillKeys(link, keys);
  const batchEveryMs = rate === 0 ? 0 : (1000 * writers * BATCH) / rate;
  const open = (): ReturnType<Movable["open"]> => movable.open();
  const writer = new CountedWriter(0, writers, 1, { open, batchEveryMs });
  const gauge = new Gauge(await movable.open());
  let moved: Moved | undefined;
  try {
    const before = await measured(writer, gauge, () => clock.delay(beforeS * 1000));
    const during = await measured(writer, gauge, async () => {
      moved = await movable.move(moreOptions());
    });
    await Promise.all([gauge.stop(), writer.stop()]);
    await writer.check();
    const wrong = [...writer.wrong, ...gauge.wrong, ...(await wrongKeys(link, keys))];
    for (const line of wrong.slice(0, 5)) process.stderr.write(`wrong: ${line}\n`);
    for (const line of writer.errors.slice(0, 5)) process.stderr.write(`error: ${line}\n`);
    const errors = writer.errors.length + gauge.errors;
    if (moved === undefined) throw new Error("nothing was moved");
    return { ...moved, before, during, errors, wrong: wrong.length };
  } finally {
    await Promise.all([gauge.stop(), writer.stop()]);
    link.destroy();
  }
}

const HEAD =
  "what|errors|lost or wrong|hold ms|longest write ms|p99 ms before|p99 ms during|writes/s before|writes/s during|" +
  "keys moved|copied after s|over after s|load";

const PEERS: Readonly<Record<string, string>> = {
  peer: "Redis Cluster, 4,096 slots",
  scan: "SCAN and RESTORE, 2 to 3",
};

function line(cells: readonly (string | number)[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

function show(name: string, { keys, copyMs, heldMs, before, during, errors, wrong }: Row): void {
  const what = PEERS[name] ?? `Twine ${name}`;
  const copied = copyMs === undefined ? "-" : (copyMs / 1000).toFixed(1);
  const load = loadavg()[0]?.toFixed(0) ?? "-";
  line([
    ...[what, errors, wrong, heldMs ?? "-", Math.round(during.longestMs), before.p99Ms.toFixed(1)],
    ...[during.p99Ms.toFixed(1), before.writesPerSecond, during.writesPerSecond],
    ...[keys, copied, during.seconds.toFixed(1), load],
  ]);
}

/** Its processes outlive this one, so an interruption waits until they are known. */
let starting: Promise<unknown> = Promise.resolve();

async function interrupted(): Promise<never> {
  await starting.catch(() => undefined);
  await endAll();
  process.exit(1);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void interrupted());
line(HEAD.split("|"));
line(HEAD.split("|").map((_, at) => (at === 0 ? "---" : "---:")));
for (let run = 0; run < options.runs; run++) {
  for (const name of options.cases) {
    try {
      const started = startMovable(name);
      starting = started;
      show(name, await moveUnderWrites(await started));
    } catch (error) {
      process.exitCode = 1;
      process.stderr.write(`${name}: ${String(error)}\n`);
    } finally {
      await endAll();
    }
  }
}
