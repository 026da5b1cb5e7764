// router-failover.ts: what clients of the router see when a partition's master is killed, stops or hands over: how long, which
// errors, and whether anything acknowledged is lost or anything is done twice. One whole cluster on 127.0.0.1 for each
// setting, one after the other. `node bench/router-failover.ts --help`; needs redis-server and redis-benchmark.
//
//   for each policy: a cluster of four partitions
//     for each load: for each kind: N times: trial.ts
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, resolve } from "node:path";
import { Command } from "commander";
import { seededRandom } from "../test/support/seeded-random.ts";
import { Clients } from "./router-failover/clients.ts";
import { BenchCluster, POLICIES, type Policy } from "./router-failover/cluster.ts";
import { summarize, violationsOf, type Trial } from "./router-failover/figures.ts";
import { KINDS, type Kind } from "./router-failover/kinds.ts";
import { LOADS, type Load } from "./router-failover/load.ts";
import { markdownOf, tableOf } from "./router-failover/report.ts";
import { runTrial } from "./router-failover/trial.ts";
import { someOf, wholeFrom } from "./option-values.ts";

interface Options {
  kills: number;
  kinds: string[];
  loads: Load[];
  policies: Policy[];
  nodes: number;
  ackReplicas: number;
  downAfter: number;
  seed: number;
  json: string;
  timeline?: boolean;
}

const kindNames = KINDS.map(({ name }) => name);
const options = new Command("bench/router-failover.ts")
  .description(
    "Kills, stops and hands over masters under clients of the router; prints their gaps, errors and losses.",
  )
  .option("--kills <n>", "times of each kind under each load", wholeFrom(1), 20)
  .option("--kinds <names>", kindNames.join(","), someOf(kindNames), [...kindNames])
  .option("--loads <names>", LOADS.join(","), someOf(LOADS), [...LOADS])
  .option("--policies <names>", "retry-unknown", someOf(POLICIES), [...POLICIES])
  .option("--nodes <n>", "data nodes per partition", wholeFrom(1), 3)
  .option("--ack-replicas <n>", "as in twine.conf", wholeFrom(0), 0)
  .option("--down-after <ms>", "detection time of a silent master, in ms", wholeFrom(1), 1000)
  .option("--seed <n>", "varies when each loss comes", wholeFrom(0), 1)
  .option("--json <file>", "where every trial is written", ".cache/bench/router-failover.json")
  .option("--timeline", "prints what monitors and router said after each loss")
  .addHelpText(
    "after",
    `
Kinds:
${KINDS.map(({ name, what }) => `  ${name.padEnd(10)} ${what}`).join("\n")}

Loads:
  writers    pipelined and plain writers that check every reply
  benchmark  redis-benchmark -c 50 at -P 16 and -P 1, beside a few writers that check

Example:
  $ node bench/router-failover.ts --kills 3 --kinds kill --policies idempotent --json /tmp/kills.json

Ends with 1 when a client saw what it may not see.`,
  )
  .parse()
  .opts<Options>();

const trials: Trial[] = [];
const clients = new Clients();
let running: BenchCluster | undefined;
const interruption = new AbortController();

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

async function end(): Promise<void> {
  await clients.close();
  await running?.stop();
  running = undefined;
}

function report(): void {
  if (trials.length === 0) return;
  const rows = summarize(trials);
  const machine = { cpus: cpus().map(({ model }) => model), load: loadavg() };
  const file = resolve(options.json);
  mkdirSync(dirname(file), { recursive: true });
  const all = { at: new Date().toISOString(), machine, options, rows, trials };
  writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`);
  process.stdout.write(`${tableOf(rows)}\n\n${markdownOf(rows)}\n\nevery trial: ${file}\n`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    say("interrupted: ending every process");
    interruption.abort();
    void end().then(() => {
      report();
      process.exit(130);
    });
  });
}

function lineOf(trial: Trial): string {
  const seconds = (ms: number | null): string => (ms === null ? "never" : (ms / 1000).toFixed(3));
  const [load] = loadavg();
  const found = violationsOf(trial);
  return [
    `${trial.policy} ${trial.load} ${trial.kind} ${trial.index + 1}/${options.kills}:`,
    `${seconds(trial.gapMs)} s, pipelines ${seconds(trial.pipelineGapMs)} s,`,
    `elsewhere ${seconds(trial.elsewhereGapMs)} s, load ${(load ?? 0).toFixed(1)}`,
    found.length === 0 ? "" : `NOT AS SAID: ${found.join("; ")}`,
  ].join(" ");
}

async function oneKind(cluster: BenchCluster, load: Load, kind: Kind): Promise<void> {
  const random = seededRandom(options.seed);
  for (let index = 0; index < options.kills; index++) {
    const warmMs = 600 + Math.floor(random.next() * 800);
    const trial = await runTrial(cluster, kind, clients, { index, load, warmMs });
    trials.push(trial);
    say(lineOf(trial));
    if (options.timeline === true) for (const line of trial.timeline) say(`    ${line}`);
  }
}

async function onePolicy(policy: Policy): Promise<void> {
  const { ackReplicas, nodes: nodesPerPartition, downAfter: downAfterMs } = options;
  say(`starting a cluster with retry-unknown ${policy}, ack-replicas ${ackReplicas}`);
  const cluster = await BenchCluster.start({ policy, ackReplicas, nodesPerPartition, downAfterMs });
  running = cluster;
  for (const load of options.loads) {
    for (const kind of KINDS.filter(({ name }) => options.kinds.includes(name))) {
      await oneKind(cluster, load, kind);
    }
  }
  await cluster.stop();
  running = undefined;
}

try {
  for (const policy of options.policies) await onePolicy(policy);
} catch (error) {
  // What was under way meets processes that are gone.
  if (!interruption.signal.aborted) throw error;
} finally {
  await end();
  if (!interruption.signal.aborted) report();
}
process.exitCode = trials.some((trial) => violationsOf(trial).length > 0) ? 1 : 0;
