// failover.ts: how long a partition's keys can't be written when its master is lost, and which acknowledged writes are
// lost with it: Twine through its router, Redis Sentinel and Redis Cluster, at the same detection time, on 127.0.0.1, side
// by side in one run, one kill of each in turn. `node bench/failover.ts --help`; needs redis-server and redis-cli.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, resolve } from "node:path";
import { Command } from "commander";
import { seededRandom } from "../test/support/seeded-random.ts";
import type { Contender } from "./failover/contender.ts";
import { summarize, type Trial } from "./failover/figures.ts";
import { KINDS, type Kind } from "./failover/kinds.ts";
import { RedisClusterContender } from "./failover/redis-cluster.ts";
import { markdownOf, tableOf } from "./failover/report.ts";
import { SentinelContender } from "./failover/sentinel.ts";
import { runTrial } from "./failover/trial.ts";
import { TwineContender } from "./failover/twine.ts";
import { Writers } from "./failover/writers.ts";
import { someOf, wholeFrom } from "./option-values.ts";

/** Nothing is on a disk, not even what a full sync left there: what survives must have been replicated. The same for all. */
const DATA_SETTINGS = [
  'save ""',
  "appendonly no",
  "rdb-del-sync-files yes",
  "repl-diskless-sync-delay 0",
];
const NAMES = ["twine", "twine-ack1", "sentinel", "cluster"] as const;
type Name = (typeof NAMES)[number];

const kindNames = KINDS.map(({ name }) => name);
const { kills, only, kinds, seed, downAfter, batch, valueBytes, json, timeline } = new Command(
  "bench/failover.ts",
)
  .description(
    "Kills masters of Twine, Redis Sentinel and Redis Cluster in turn and prints how long nothing could be written, and what was lost.",
  )
  .option("--kills <n>", "kills of each contender in each kind", wholeFrom(1), 20)
  .option("--only <names>", NAMES.join(","), someOf(NAMES), [...NAMES])
  .option("--kinds <names>", kindNames.join(","), someOf(kindNames), [...kindNames])
  .option("--seed <n>", "varies when each kill comes", wholeFrom(0), 1)
  .option("--down-after <ms>", "detection time of all, in ms", wholeFrom(1), 1000)
  .option("--batch <n>", "writes per batch of the second writer; 0: none", wholeFrom(0), 50)
  .option(
    "--value-bytes <n>",
    "size of each value (else 100, and 4096 in kind paused)",
    wholeFrom(0),
  )
  .option("--json <file>", "where every kill is written down", ".cache/bench/failover.json")
  .option("--timeline", "prints each contender's own log after each kill")
  .addHelpText(
    "after",
    `\nKinds:\n${KINDS.map(({ name, what }) => `  ${name.padEnd(8)} ${what}`).join("\n")}`,
  )
  .parse()
  .opts<{
    kills: number;
    only: Name[];
    kinds: string[];
    seed: number;
    downAfter: number;
    batch: number;
    valueBytes?: number;
    json: string;
    timeline?: boolean;
  }>();

function contenderOf(name: Name): Contender {
  switch (name) {
    case "twine":
      return new TwineContender(0, downAfter, DATA_SETTINGS);
    case "twine-ack1":
      return new TwineContender(1, downAfter, DATA_SETTINGS);
    case "sentinel":
      return new SentinelContender(downAfter, DATA_SETTINGS);
    case "cluster":
      return new RedisClusterContender(downAfter, DATA_SETTINGS);
  }
}

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const trials: Trial[] = [];
const running: Contender[] = [];
const writers = new Writers();

async function end(): Promise<void> {
  await writers.close();
  await Promise.all(running.splice(0).map((contender) => contender.stop()));
}

function report(): void {
  if (trials.length === 0) return;
  const rows = summarize(trials);
  const machine = { cpus: cpus().map(({ model }) => model), load: loadavg() };
  const file = resolve(json);
  mkdirSync(dirname(file), { recursive: true });
  const options = { kills, only, kinds, seed, downAfter, batch, valueBytes };
  const all = { at: new Date().toISOString(), machine, options, rows, trials };
  writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`);
  process.stdout.write(`${tableOf(rows)}\n\n${markdownOf(rows)}\n\nevery kill: ${file}\n`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    say("interrupted: ending every process");
    void end().then(() => {
      report();
      process.exit(130);
    });
  });
}

function lineOf(trial: Trial): string {
  const seconds = (ms: number | null): string => (ms === null ? "never" : (ms / 1000).toFixed(3));
  const errors = Object.entries(trial.errors).map(([what, count]) => `${what} ${count}`);
  return [
    `${trial.kind} ${trial.index + 1}/${kills} ${trial.contender}:`,
    `${seconds(trial.gapMs)} s, batches ${seconds(trial.batchGapMs)} s,`,
    `lost ${trial.lost} of ${trial.acknowledged}, well again after ${seconds(trial.healMs)} s`,
    errors.length === 0 ? "" : `(${errors.join(", ")})`,
  ].join(" ");
}

async function oneOfEach(kind: Kind, index: number, random: () => number): Promise<void> {
  for (const contender of running) {
    const warmMs = 700 + Math.floor(random() * 300);
    const trial = await runTrial(contender, kind, writers, { index, warmMs, valueBytes, batch });
    trials.push(trial);
    say(lineOf(trial));
    if (timeline === true) for (const line of trial.timeline) say(`    ${line}`);
  }
}

try {
  for (const name of only) {
    const contender = contenderOf(name);
    running.push(contender);
    say(`starting ${contender.name}`);
    await contender.start();
  }
  const random = seededRandom(seed);
  for (const kind of KINDS.filter(({ name }) => kinds.includes(name))) {
    say(`${kind.name}: ${kind.what}`);
    for (let index = 0; index < kills; index++) {
      await oneOfEach(kind, index, () => random.next());
    }
  }
} finally {
  await end();
  report();
}
