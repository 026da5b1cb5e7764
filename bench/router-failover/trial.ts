// trial.ts: one loss of one master, seen by the router's clients.
//
//   OK ─▶ empty ─▶ clients begin ─▶ warm ─▶ INFLICT ─▶ all acknowledged again ─▶ settle ─▶ mend ─▶ OK ─▶ clients end
//                                      └───────────── gap ─────────────────────────────┘
//                                      └───────────── errors, faults ─────────────────────────────────────┘
//
// The clients go on while the old master comes back: a paused one may still execute what lay in its sockets.
import { longestGap } from "../failover/figures.ts";
import { nowMs } from "../machine-clock.ts";
import type { ClientResult } from "./client.ts";
import type { Clients } from "./clients.ts";
import type { BenchCluster } from "./cluster.ts";
import type { Kind } from "./kinds.ts";
import { clientsOf, type Load } from "./load.ts";
import { RedisBenchmark } from "./redis-benchmark.ts";
import type { Group, Trial } from "./figures.ts";

export interface TrialOptions {
  readonly index: number;
  readonly load: Load;
  /** From the first command to the loss. */
  readonly warmMs: number;
}

const GIVEN_UP_MS = 30_000;
const WELL_WITHIN_MS = 90_000;
/** What is acknowledged this long after the loss was not on its way when it came. */
const ON_ITS_WAY_MS = 150;
const SETTLE_MS = 400;
const LOOK_EVERY_MS = 25;
const PIPELINES = [16, 1];

export async function runTrial(
  cluster: BenchCluster,
  kind: Kind,
  clients: Clients,
  { index, load, warmMs }: TrialOptions,
): Promise<Trial> {
  await untilWell(cluster);
  await cluster.empty();
  const partition = index % cluster.tags.length;
  const master = await cluster.masterOf(partition);
  clients.begin(cluster.routerPort, clientsOf(load, cluster.tags, index));
  const benchmarks = load === "benchmark" ? startBenchmarks(cluster) : [];
  await wait(warmMs);
  const lostAt = new Date();
  const lostMs = nowMs();
  await kind.inflict(cluster, partition, master);
  await untilAcknowledged(clients, lostMs);
  const settledMs = nowMs();
  await kind.mend(cluster, master);
  await untilWell(cluster);
  const benchmarkEnds = await Promise.all(benchmarks.map((benchmark) => benchmark.end()));
  const results = await clients.end();
  const { policy, ackReplicas } = cluster.options;
  const isHere = ({ plan }: ClientResult): boolean =>
    plan.partition === partition || plan.partition === null;
  return {
    kind: kind.name,
    load,
    policy,
    ackReplicas,
    index,
    gapMs: gapOf(results.filter(isHere), "probe", lostMs, settledMs),
    pipelineGapMs: gapOf(results.filter(isHere), "values", lostMs, settledMs),
    elsewhereGapMs: gapOf(
      results.filter((result) => !isHere(result)),
      "probe",
      lostMs,
      settledMs,
    ),
    here: groupsOf(results.filter(isHere)),
    elsewhere: groupsOf(results.filter((result) => !isHere(result))),
    benchmarkCount: benchmarks.length,
    benchmarkEnds: benchmarkEnds.filter((word) => word !== undefined),
    timeline: await cluster.timeline(lostAt),
  };
}

function startBenchmarks({ routerPort, options }: BenchCluster): RedisBenchmark[] {
  const isIdempotentOnly = options.policy === "idempotent";
  return PIPELINES.map(
    (pipeline) => new RedisBenchmark({ port: routerPort, pipeline, isIdempotentOnly }),
  );
}

/** The worst client's; null when one of them was never answered again. */
function gapOf(
  results: readonly ClientResult[],
  exam: string,
  fromMs: number,
  toMs: number,
): number | null {
  const gaps = results
    .filter(({ plan }) => plan.exam === exam)
    .map(({ times }) =>
      longestGap(
        times.filter((at) => at <= toMs),
        fromMs,
      ),
    );
  const known = gaps.filter((gap) => gap !== undefined);
  return known.length < gaps.length ? null : Math.max(...known);
}

/** By exam: what its clients saw, added up. */
function groupsOf(results: readonly ClientResult[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { plan, replies, errors, faults } of results) {
    const group = groups.get(plan.exam) ?? {
      exam: plan.exam,
      replies: 0,
      errors: {},
      faults: { lost: 0, doubled: 0, ahead: 0 },
    };
    const sum = { ...group.errors };
    for (const [word, count] of Object.entries(errors)) sum[word] = (sum[word] ?? 0) + count;
    groups.set(plan.exam, {
      exam: plan.exam,
      replies: group.replies + replies,
      errors: sum,
      faults: {
        lost: group.faults.lost + faults.lost,
        doubled: group.faults.doubled + faults.doubled,
        ahead: group.faults.ahead + faults.ahead,
      },
    });
  }
  return [...groups.values()];
}

async function untilAcknowledged(clients: Clients, lostMs: number): Promise<void> {
  while (nowMs() - lostMs < GIVEN_UP_MS) {
    const acks = await clients.lastAcks();
    if (acks.every((lastMs) => lastMs > lostMs + ON_ITS_WAY_MS)) break;
    await wait(LOOK_EVERY_MS);
  }
  await wait(SETTLE_MS);
}

async function untilWell(cluster: BenchCluster): Promise<void> {
  const endMs = nowMs() + WELL_WITHIN_MS;
  while ((await cluster.view())?.state !== "OK") {
    if (nowMs() > endMs) throw new Error(`not well again after ${WELL_WITHIN_MS / 1000} s`);
    await wait(LOOK_EVERY_MS);
  }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
