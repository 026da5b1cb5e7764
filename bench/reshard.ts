// reshard.ts: what twine-reshard costs the clients of a running cluster: mixed keys are moved under mixed writes whose every
// value is known, and are compared at the end. Beside it: `redis-cli --cluster reshard` of two masters of Redis Cluster under
// writes as many. `node bench/reshard.ts --keys 100000`; needs redis-server and redis-cli. A run of the defaults takes a minute.
import { loadavg } from "node:os";
import { Command } from "commander";
import { systemClock as clock } from "../runtime/ports/clock.ts";
import { openNodeSocket } from "../runtime/replication/node-socket.ts";
import { CountedWriter } from "../test/support/counted-writer.ts";
import { ReshardCluster, type Layout } from "../test/support/reshard-cluster.ts";
import { fillKeys, wrongKeys } from "./reshard/fill.ts";
import { Gauge } from "./reshard/gauge.ts";
import { movePeer } from "./reshard/peer.ts";
import { someOf, wholeFrom } from "./option-values.ts";

const CASES: Readonly<Record<string, readonly [Layout, Layout]>> = {
  "2to3": [layout(2), layout(3)],
  "2to4": [layout(2), layout(4)],
  "4to2": [layout(4), layout(2)],
  crc32to16: [layout(2), layout(2, "hash crc16")],
};

interface Options {
  keys: number;
  writers: number;
  runs: number;
  cases: string[];
  peer: boolean;
  before: number;
}

const options = new Command("bench/reshard.ts")
  .description("Moves a running cluster to other partitions under writes that are all checked.")
  .option("--keys <n>", "keys beside those of the writers", wholeFrom(0), 20_000)
  .option("--writers <n>", "clients, each with pipelines of 12 writes", wholeFrom(1), 4)
  .option("--runs <n>", "of each case", wholeFrom(1), 1)
  .option("--cases <list>", Object.keys(CASES).join(","), someOf(Object.keys(CASES)), ["2to3"])
  .option("--before <seconds>", "of writes before the move", wholeFrom(1), 5)
  .option("--no-peer", "without Redis Cluster")
  .parse()
  .opts<Options>();

function layout(partitions: number, ...lines: string[]): Layout {
  return { partitions, lines };
}

interface Row {
  readonly what: string;
  readonly heldMs: number | string;
  readonly seconds: number;
  readonly keys: number;
  readonly before: Measured;
  readonly during: Measured;
  readonly errors: number;
  readonly wrong: number;
}

interface Measured {
  readonly writesPerSecond: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

async function measured(
  count: () => number,
  gauge: Pick<Gauge, "take">,
  work: () => Promise<unknown>,
): Promise<Measured & { readonly seconds: number }> {
  const [from, beganMs] = [count(), clock.nowMs()];
  gauge.take();
  await work();
  const seconds = (clock.nowMs() - beganMs) / 1000;
  return { ...gauge.take(), writesPerSecond: Math.round((count() - from) / seconds), seconds };
}

async function moveOnce(name: string): Promise<Row> {
  const [from, to] = CASES[name] ?? [layout(2), layout(3)];
  const cluster = await ReshardCluster.start(from, to, ["redis repl-backlog-size 64mb"]);
  try {
    const port = cluster.port("r1");
    const socket = await openNodeSocket(
      { host: "127.0.0.1", port },
      { clock, silenceMsMax: 120_000 },
    );
    await fillKeys(socket, options.keys);
    const writer = new CountedWriter(port, options.writers, 1);
    const gauge = await Gauge.start(port);
    const count = (): number => writer.acknowledged;
    const before = await measured(count, gauge, () => clock.delay(options.before * 1000));
    let out = "";
    const during = await measured(count, gauge, async () => {
      const ended = await cluster.reshard("--json").ended;
      out = ended.out;
      if (ended.code !== 0)
        process.stdout.write(`twine-reshard ended with ${ended.code}: ${out}\n`);
    });
    await gauge.stop();
    await writer.stop();
    await writer.check();
    const wrong = [...writer.wrong, ...gauge.wrong, ...(await wrongKeys(socket, options.keys))];
    socket.destroy();
    for (const line of wrong.slice(0, 5)) process.stdout.write(`wrong: ${line}\n`);
    const { heldMs = "-", keys = 0 } = JSON.parse(out) as { heldMs?: number; keys?: number };
    const errors = writer.errors.length + gauge.errors;
    const { seconds } = during;
    return {
      what: `Twine ${name}`,
      heldMs,
      seconds,
      keys,
      before,
      during,
      errors,
      wrong: wrong.length,
    };
  } finally {
    await cluster.remove();
  }
}

async function peerOnce(): Promise<Row> {
  const peer = await movePeer(options, measured);
  return { what: "Redis Cluster, 4,096 slots", heldMs: "-", ...peer };
}

function show({ what, heldMs, seconds, keys, before, during, errors, wrong }: Row): void {
  const cells = [
    ...[what, errors, wrong, heldMs, Math.round(during.longestMs), before.p99Ms.toFixed(1)],
    ...[during.p99Ms.toFixed(1), before.writesPerSecond, during.writesPerSecond],
    ...[seconds.toFixed(1), Math.round(keys / seconds), loadavg()[0]?.toFixed(0) ?? "-"],
  ];
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

const HEAD =
  "what|errors|lost or wrong|hold ms|longest write ms|p99 ms before|p99 ms during|writes/s before|writes/s during|s|keys/s|load";
process.stdout.write(`| ${HEAD.replaceAll("|", " | ")} |\n`);
for (let run = 0; run < options.runs; run++) {
  for (const name of options.cases) show(await moveOnce(name));
  if (options.peer) show(await peerOnce());
}
