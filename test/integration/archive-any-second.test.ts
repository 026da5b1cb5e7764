// Any second, key by key: writers through the router note each write's times while the archiver, a replica, a master, the alpha
// and the router are killed and come back; then a partition (--partition N --to T) and the cluster (--to T) are restored to
// moments around each kill, and every key is compared with what was acknowledged by then. What a restore must keep, by its own
// moment M (`moment.at`), which is never after T:
//
//   the cluster     a cut, so exact: a write answered before M is there, one sent after M is not; each writer's writes up to one
//   a partition     a write sent after M is not there; one answered before M is there when it had reached the archiver by then.
//                   docs/backup.md says half a second; FRESH_MS is what a slow machine gets
//
// A write that got no answer, or that a master acknowledged right before it was killed, may be there or not.
// TWINE_FAULT_POINTS=20 kills 20 times; TWINE_FAULT_SEED chooses other moments.
import { readdirSync, readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { startedCluster } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { compareWriter, startWriters, type Writer, type Writers } from "../support/write-log.ts";

const POINTS = Number(process.env["TWINE_FAULT_POINTS"] ?? 5);
const SEED = Number(process.env["TWINE_FAULT_SEED"] ?? 12);
const FRESH_MS = 5000;
/** Before a master's death: longer than any replication lag that a test has shown. */
const LOSS_MS = 3000;
const WITHIN_MS = 120_000;
const TRIES = 5;
const VICTIMS = ["a master", "the alpha", "the archiver", "a replica", "the router"] as const;

const isOk = (view: View): boolean => view.state === "OK" && (view.restore ?? null) === null;
const isRecorded = ({ backup }: View): boolean =>
  (backup?.archive?.lastCutAt ?? null) !== null &&
  backup?.archive?.noBase === undefined &&
  (backup?.lastAt ?? null) !== null;

const CONF = clusterConf({
  ...{ partitions: 2, nodesPerPartition: 2, monitors: 3, routers: 1, nameOf: byLetter },
  lines: [
    ...["cluster seconds", "partitions 2", "backup-dir backups", "backup-archive yes"],
    ...["backup-cut-every 1s", "backup-every 24d", "backup-keep 1000", "down-after 1s"],
    ...["hold-for 60s", "redis repl-diskless-sync-delay 0", "redis repl-backlog-size 64mb"],
  ],
});

/** Of each writer: some keys, in both partitions. */
const KEYS = Array.from({ length: 4 }, (_, writer) =>
  Array.from({ length: 30 }, (_, at) => {
    const key = `w${writer}:${at}`;
    return { key, partition: crc32(key) % 2 };
  }),
);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function archiverPids({ config }: FaultCluster): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.includes("--archive") && words.includes(config.file);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Kills it, waits until somebody does its work, and starts it again; answers when it was killed. */
async function killed(
  cluster: FaultCluster,
  victim: (typeof VICTIMS)[number],
  partition: number,
  writers: Writers,
): Promise<number> {
  const view = await cluster.viewWhere("OK", isOk, WITHIN_MS);
  const master = view.partitions[partition]?.master ?? "";
  const nodes = partition === 0 ? ["a1", "a2"] : ["b1", "b2"];
  const killedMs = Date.now();
  switch (victim) {
    case "the archiver":
      for (const pid of archiverPids(cluster)) process.kill(pid, "SIGKILL");
      break;
    case "a replica":
      await cluster.kill(nodes.find((name) => name !== master) ?? "");
      break;
    case "a master":
      await cluster.kill(master);
      await cluster.viewWhere(
        "another master",
        ({ partitions }) => {
          const now = partitions[partition]?.master ?? null;
          return now !== null && now !== master;
        },
        WITHIN_MS,
      );
      writers.lost(partition, killedMs - LOSS_MS);
      break;
    case "the alpha":
      await cluster.kill(view.alpha);
      await cluster.viewWhere("another alpha", ({ alpha }) => alpha !== view.alpha, WITHIN_MS);
      break;
    case "the router":
      await cluster.kill("r1");
      break;
  }
  await cluster.heal();
  await cluster.viewWhere("OK again", isOk, WITHIN_MS);
  const { count } = writers;
  await until("more is written", () => writers.count > count + 50, WITHIN_MS);
  return killedMs;
}

interface Asked {
  readonly what: string;
  readonly toMs: number;
  /** undefined: the cluster. */
  readonly partition: number | undefined;
}

async function valuesIn(cluster: FaultCluster): Promise<ReadonlyMap<string, number>> {
  const { partitions } = await cluster.viewWhere("OK", isOk, WITHIN_MS);
  const values = new Map<string, number>();
  for (const { index, master } of partitions) {
    const own = KEYS.flat().filter(({ partition }) => partition === index);
    const found = (await cluster.ask(
      master ?? "",
      "MGET",
      ...own.map(({ key }) => key),
    )) as unknown[];
    for (const [at, { key }] of own.entries()) values.set(key, Number(found[at] ?? 0));
  }
  return values;
}

/** Restores it and compares every key; answers how much older than T the restored moment is. */
async function restored(
  cluster: FaultCluster,
  writers: readonly Writer[],
  { what, toMs, partition }: Asked,
): Promise<{ readonly olderMs: number; readonly staleMs: number }> {
  const before = await valuesIn(cluster);
  const args = ["--yes", "--json", "--to", new Date(toMs).toISOString()].concat(
    partition === undefined ? [] : ["--partition", String(partition)],
  );
  const restore = () => runTool("runtime", "twine-restore", cluster.config.file, ...args);
  let { code, out, err } = await restore();
  // On a busy machine the status node may answer too late; then nothing was begun.
  for (let tries = 1; tries < TRIES && err.includes("STATUS_UNREACHABLE"); tries++) {
    ({ code, out, err } = await restore());
  }
  expect([what, code, err]).toEqual([what, 0, expect.not.stringContaining("error")]);
  const { moment } = JSON.parse(out) as { readonly moment: { readonly at: string } };
  const momentMs = Date.parse(moment.at);
  expect([what, momentMs <= toMs]).toEqual([what, true]);
  const values = await valuesIn(cluster);
  const isAsked = (index: number): boolean => partition === undefined || index === partition;
  for (const { key, partition: index } of KEYS.flat()) {
    if (!isAsked(index)) expect([what, key, values.get(key)]).toEqual([what, key, before.get(key)]);
  }
  const compared = writers.map((writer) =>
    compareWriter(writer, isAsked, (key) => values.get(key) ?? 0),
  );
  expect([what, compared.flatMap(({ wrong }) => wrong)]).toEqual([what, []]);
  expect([what, compared.filter(({ newestSentMs }) => newestSentMs > momentMs)]).toEqual([
    what,
    [],
  ]);
  const mustMs = partition === undefined ? momentMs : momentMs - FRESH_MS;
  expect([what, compared.filter(({ missingSinceMs }) => missingSinceMs < mustMs)]).toEqual([
    what,
    [],
  ]);
  const missingSinceMs = Math.min(...compared.map((one) => one.missingSinceMs));
  return { olderMs: toMs - momentMs, staleMs: Math.max(0, momentMs - missingSinceMs) };
}

test(
  "whatever was killed: each key is restored as it was, of one partition and of the cluster, at moments before, in and after it",
  async () => {
    const cluster = await startedCluster(CONF);
    await cluster.viewWhere("a base and cuts", isRecorded, WITHIN_MS);
    const writing = startWriters(cluster.port("r1"), KEYS);
    onTestFinished(() => writing.stop());
    await until("much is written", () => writing.count > 500, WITHIN_MS);
    const random = seededRandom(SEED);
    const asked: Asked[] = [];
    const between = (most: number): number => Math.floor(random.next() * most);
    for (let point = 0; point < POINTS; point++) {
      await pause(1500 + between(1500));
      const victim = VICTIMS[point % VICTIMS.length] ?? "a master";
      const partition = between(2);
      const killedMs = await killed(cluster, victim, partition, writing);
      const what = `point ${point}, ${victim} of partition ${partition}`;
      asked.push(
        { what: `${what}, before`, toMs: killedMs - between(1000), partition: undefined },
        { what: `${what}, that partition, in it`, toMs: killedMs + between(1500), partition },
        {
          what: `${what}, after`,
          toMs: Date.now(),
          partition: point % 3 === 0 ? 1 - partition : undefined,
        },
      );
    }
    await pause(1500);
    await writing.stop();
    const stoppedMs = Date.now();
    await cluster.viewWhere(
      "everything is recorded",
      ({ backup }) => Date.parse(backup?.archive?.lastCutAt ?? "") > stoppedMs,
      WITHIN_MS,
    );
    // In an order of their own: a restore leads on from no other.
    const order = asked.map((one) => ({ one, at: random.next() })).toSorted((a, b) => a.at - b.at);
    for (const { one } of order) {
      const { olderMs, staleMs } = await restored(cluster, writing.writers, one);
      process.stderr.write(
        `${one.what}: M is ${olderMs} ms before T; answered and missing: ${staleMs} ms before M\n`,
      );
    }
    process.stderr.write(`${writing.count} writes, ${asked.length} restores\n`);
  },
  300_000 + POINTS * 120_000,
);
