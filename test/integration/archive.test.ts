// archive.test.ts: backup-archive on whole clusters of real processes: any moment comes back, after a failover, after the death of
// the alpha, of the node that is read, and of everything at once.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { RunHead } from "../../runtime/backup/archive/run-head.ts";
import type { View } from "../../runtime/core/view.ts";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { startedCluster } from "../support/one-partition.ts";
import { pairsOf, startPairWriters, tornPairs } from "../support/pair-counters.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const PAIRS = pairsOf(20);
const isOk = ({ state }: View): boolean => state === "OK";

function conf(...lines: readonly string[]): string {
  return clusterConf({
    ...{ partitions: 2, nodesPerPartition: 2, statusNodes: 1, monitors: 2, nameOf: byLetter },
    lines: [
      ...["cluster kept", "partitions 2", "backup-dir backups", "backup-archive yes"],
      ...["backup-cut-every 1s", "backup-every 24d", "down-after 1s"],
      "redis repl-diskless-sync-delay 0",
      ...lines,
    ],
  });
}

/** Whether what is written now can be restored: it is recorded, and there is a backup that leads to it. */
const isRecorded = ({ backup }: View): boolean =>
  (backup?.archive?.lastCutAt ?? null) !== null &&
  backup?.archive?.noBase === undefined &&
  (backup?.lastAt ?? null) !== null;

async function mastersOf(cluster: FaultCluster): Promise<[string, string]> {
  const { partitions } = await cluster.viewWhere("all served", (view) =>
    view.partitions.every(({ master }) => master !== null),
  );
  const [a, b] = partitions.map(({ master }) => master ?? "");
  return [a ?? "", b ?? ""];
}

async function writing(cluster: FaultCluster) {
  const [a, b] = await mastersOf(cluster);
  const writers = await startPairWriters(PAIRS, [cluster.port(a), cluster.port(b)]);
  onTestFinished(() => writers.stop().catch(() => undefined));
  return writers;
}

interface Restored {
  readonly moment: { readonly at: string; readonly backup: string; readonly why: string };
}

async function restore(cluster: FaultCluster, ...args: readonly string[]): Promise<Restored> {
  const { file } = cluster.config;
  const { code, out, err } = await runTool(
    "runtime",
    "twine-restore",
    file,
    "--yes",
    "--json",
    ...args,
  );
  expect([code, err]).toEqual([0, expect.not.stringContaining("error")]);
  return JSON.parse(out) as Restored;
}

async function torn(cluster: FaultCluster): Promise<string[]> {
  const names = await mastersOf(cluster);
  return tornPairs(PAIRS, async (partition, keys) => {
    const values = await cluster.ask(names[partition] ?? "", "MGET", ...keys);
    return values as readonly unknown[];
  });
}

async function sumOf(cluster: FaultCluster, partition: 0 | 1): Promise<number> {
  const names = await mastersOf(cluster);
  const keys = PAIRS.map(({ a, b }) => (partition === 0 ? a : b));
  const values = (await cluster.ask(names[partition], "MGET", ...keys)) as (string | null)[];
  return values.reduce((sum, value) => sum + Number(value ?? 0), 0);
}

function archived(cluster: FaultCluster, ending: string): string[] {
  return readdirSync(join(cluster.folder, "backups", "kept-archive")).filter((name) =>
    name.endsWith(ending),
  );
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Writers for so long; what they had counted at several times. */
async function counted(cluster: FaultCluster): Promise<{ atMs: number; counts: number }[]> {
  const writers = await writing(cluster);
  const before = writers.counts;
  const seen: { atMs: number; counts: number }[] = [];
  for (let at = 0; at < 6; at++) {
    await pause(700);
    seen.push({ atMs: Date.now(), counts: writers.counts - before });
  }
  await writers.stop();
  return seen;
}

test("any moment is restored whole: of the cluster at a cut, of one partition at any second; also across a failover", async () => {
  const cluster = await startedCluster(conf());
  await cluster.viewWhere("a base and cuts", isRecorded, 90_000);
  const first = await counted(cluster);
  const [a] = await mastersOf(cluster);
  await cluster.kill(a);
  await cluster.viewWhere("another master", ({ partitions }) => {
    const master = partitions[0]?.master ?? null;
    return master !== null && master !== a;
  });
  const heads = archived(cluster, ".run").length;
  const before = await sumOf(cluster, 0);
  const second = await counted(cluster);
  await until("the failover is another run", () => archived(cluster, ".run").length >= heads);
  await cluster.launch(a);
  await cluster.viewWhere("OK", isOk);
  await pause(2500);

  // One of the second half: from the one backup that was taken before the failover.
  const late = second[3] ?? { atMs: 0, counts: 0 };
  const to = new Date(late.atMs).toISOString();
  const { moment } = await restore(cluster, "--to", to);
  expect(Date.parse(moment.at)).toBeLessThanOrEqual(late.atMs);
  expect(Date.parse(moment.at)).toBeGreaterThan(late.atMs - 5000);
  expect(await torn(cluster)).toEqual([]);
  const sum = await sumOf(cluster, 1);
  expect(sum).toBeGreaterThan(before);
  expect(sum).toBeLessThanOrEqual(before + late.counts + PAIRS.length);

  // One of the first half, on the old history; each partition by itself to a moment of its own.
  const early = first[2] ?? { atMs: 0, counts: 0 };
  const one = await restore(
    cluster,
    "--to",
    new Date(early.atMs).toISOString(),
    "--partition",
    "0",
  );
  expect(Math.abs(Date.parse(one.moment.at) - early.atMs)).toBeLessThan(1500);
  expect(await sumOf(cluster, 1)).toBe(sum);
  const own = await sumOf(cluster, 0);
  expect(own).toBeGreaterThan((first[0]?.counts ?? 0) - PAIRS.length);
  expect(own).toBeLessThanOrEqual((first[3]?.counts ?? 0) + PAIRS.length);
}, 300_000);

/** Counts of one key by INCR, one after the other, and when each was answered. */
function startCounter(cluster: FaultCluster, partition: 0 | 1) {
  const [pair] = PAIRS;
  const key = partition === 0 ? (pair?.a ?? "") : (pair?.b ?? "");
  const answered: number[] = [];
  const end = new AbortController();
  const isOver = (): boolean => end.signal.aborted;
  const counting = (async () => {
    while (!isOver()) {
      const names = await mastersOf(cluster).catch(() => undefined);
      if (names === undefined) continue;
      try {
        const count = await cluster.ask(names[partition], "INCR", key);
        answered[Number(count)] = Date.now();
      } catch {
        await pause(50);
      }
    }
  })();
  const stop = async (): Promise<void> => {
    end.abort();
    await counting;
  };
  onTestFinished(stop);
  return { key, answered, stop };
}

/** The archiver that the alpha runs. */
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

test("the alpha, the node that is read, the archiver at any moment, and everything at once may die: what was recorded is restored, without a gap", async () => {
  const cluster = await startedCluster(conf("redis appendonly yes"));
  await cluster.viewWhere("a base and cuts", isRecorded, 120_000);
  const counter = startCounter(cluster, 0);
  const isAhead = async (): Promise<void> => {
    const { length } = counter.answered;
    await until("more is counted", () => counter.answered.length > length + 20, 60_000);
  };
  await isAhead();
  const { alpha } = await cluster.viewWhere("OK", isOk);
  await cluster.kill(alpha);
  await cluster.viewWhere("another alpha", (view) => view.alpha !== alpha);
  await cluster.heal();
  await isAhead();
  const [a] = await mastersOf(cluster);
  const replica = a === "a1" ? "a2" : "a1";
  await cluster.kill(replica);
  await isAhead();
  await cluster.launch(replica);
  for (let times = 0; times < 5; times++) {
    await until("an archiver runs", () => archiverPids(cluster).length > 0, 60_000);
    const heads = archived(cluster, ".run").length;
    for (const pid of archiverPids(cluster)) process.kill(pid, "SIGKILL");
    await until("the next one records", () => archived(cluster, ".run").length > heads, 90_000);
    await pause(200 * times);
  }
  await cluster.viewWhere("OK", isOk, 60_000);
  await isAhead();
  // A cut that was begun later, and is in the archive: so is all that was counted by now.
  const [recorded, countedAtMs] = [counter.answered.length - 1, Date.now()];
  await cluster.viewWhere(
    "what was counted is recorded",
    ({ backup }) => Date.parse(backup?.archive?.lastCutAt ?? "") > countedAtMs,
    90_000,
  );
  const killedAtMs = Date.now();
  for (const pid of archiverPids(cluster)) process.kill(pid, "SIGKILL");
  await cluster.kill("m1", "m2", "a1", "a2", "b1", "b2", "s1");
  await counter.stop();
  const last = counter.answered.length - 1;
  const [, ...later] = archived(cluster, ".run")
    .map((name) => readFileSync(join(cluster.folder, "backups", "kept-archive", name), "utf8"))
    .map((text) => JSON.parse(text) as RunHead)
    .toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
  // Begun anew again and again, and none says that something is missing before it.
  const isGap = ({ continues, starts }: RunHead): boolean =>
    continues === undefined || starts.some(({ before }) => before === undefined);
  expect(later.length).toBeGreaterThanOrEqual(5);
  expect(later.filter(isGap)).toEqual([]);
  await cluster.start();
  await restore(cluster, "--to", new Date(killedAtMs).toISOString(), "--partition", "0");
  const [master] = await mastersOf(cluster);
  const restored = Number(await cluster.ask(master, "GET", counter.key));
  const lostMs = killedAtMs - (counter.answered[Math.min(restored + 1, last)] ?? killedAtMs);
  process.stderr.write(`of ${last} counts ${last - restored} were lost: ${lostMs} ms\n`);
  expect(restored).toBeGreaterThanOrEqual(recorded);
  expect(restored).toBeLessThanOrEqual(last + 1);
}, 600_000);

test("a folder that can't be written to costs the others nothing; a gap is shown, and a new backup follows it by itself", async () => {
  const cluster = await startedCluster(conf("backup-dir other"));
  await cluster.viewWhere("a base and cuts", isRecorded, 120_000);
  const other = join(cluster.folder, "other", "kept-archive");
  const kept = `${other}.kept`;
  renameSync(other, kept);
  writeFileSync(other, "no folder");
  await cluster.viewWhere(
    "the failure is shown",
    ({ backup }) => backup?.archive?.failed?.includes("other") === true,
    60_000,
  );
  const first = archived(cluster, ".seg").length;
  await until("the other one goes on", () => archived(cluster, ".seg").length > first, 60_000);
  rmSync(other);
  renameSync(kept, other);
  await cluster.viewWhere(
    "nothing fails any more",
    ({ backup }) => backup?.archive !== undefined && backup.archive.failed === undefined,
    60_000,
  );
  // What lies in neither a node's backlog nor the archive is a gap.
  const { alpha } = await cluster.viewWhere("OK", isOk);
  const names = await mastersOf(cluster);
  await cluster.kill(alpha);
  const filler = "x".repeat(100_000);
  for (let at = 0; at < 40; at++)
    await cluster.ask(names[0], "SET", `${PAIRS[0]?.a ?? ""}:${at}`, filler);
  const gapped = await cluster.viewWhere(
    "the gap is shown",
    ({ backup }) => backup?.archive?.gapAt !== undefined,
    120_000,
  );
  expect(gapped.backup?.archive?.gapWhy).toContain("backlog");
  await cluster.viewWhere("another base", isRecorded, 120_000);
  const { file } = cluster.config;
  const status = await runTool("runtime", "twine-status", file, "summary");
  expect(status.out.replaceAll(/\s+/g, " ")).toContain("archive gap until");
  await pause(2500);
  const list = await runTool("runtime", "twine-backup", file, "--list");
  expect(list.out).toMatch(/archive in backups: any moment from .* to /);
  expect(list.out).toContain("gap");
}, 400_000);
