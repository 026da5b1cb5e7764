// consistent-cut.test.ts: what is restored is the state of the whole cluster at one moment, on real processes.
import { expect, onTestFinished, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { firstBackup, startedCluster, twoPartitions } from "../support/one-partition.ts";
import { pairsOf, startPairWriters, tornPairs } from "../support/pair-counters.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const CONF = twoPartitions(
  "cluster cut",
  "backup-dir backups",
  "backup-compress zstd",
  "redis repl-diskless-sync-delay 0",
);
const PAIRS = pairsOf(40);
const isOk = ({ state }: View): boolean => state === "OK";

interface Taken {
  readonly id: string;
  readonly whyNoCut: string;
  readonly manifest: {
    readonly isConsistent: boolean;
    readonly cut?: { readonly pausedMs: number };
    readonly partitions: readonly { readonly feed?: { readonly feedBytes: number } }[];
  };
}

async function backup(cluster: FaultCluster, ...args: string[]): Promise<Taken> {
  const { file } = cluster.config;
  const { code, out, err } = await runTool("runtime", "twine-backup", file, "--json", ...args);
  expect([code, err]).toEqual([0, expect.not.stringContaining("error")]);
  return JSON.parse(out) as Taken;
}

async function masters(cluster: FaultCluster): Promise<[string, string]> {
  const { partitions } = await cluster.viewWhere("OK", isOk);
  const [a, b] = partitions.map(({ master }) => master ?? "");
  return [a ?? "", b ?? ""];
}

/** A cluster whose partitions' RDBs begin seconds apart, with the alpha's own first backup done. */
async function unevenCluster(): Promise<FaultCluster> {
  const cluster = await startedCluster(CONF);
  await cluster.viewWhere("OK", isOk);
  await firstBackup(cluster);
  for (const name of ["a1", "a2"]) {
    await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "0");
  }
  for (const name of ["b1", "b2"]) {
    await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "2");
  }
  return cluster;
}

async function writing(cluster: FaultCluster) {
  const [a, b] = await masters(cluster);
  const writers = await startPairWriters(PAIRS, [cluster.port(a), cluster.port(b)]);
  onTestFinished(() => writers.stop().catch(() => undefined));
  return writers;
}

async function tornAfterRestore(cluster: FaultCluster, id: string): Promise<string[]> {
  const { file } = cluster.config;
  const { code, err } = await runTool("runtime", "twine-restore", file, id, "--yes");
  expect([code, err]).toEqual([0, expect.not.stringContaining("error")]);
  const names = await masters(cluster);
  return tornPairs(PAIRS, async (partition, keys) => {
    const values = await cluster.ask(names[partition] ?? "", "MGET", ...keys);
    return values as readonly unknown[];
  });
}

test("restored backups with a cut are of one moment each, and one without is not", async () => {
  const cluster = await unevenCluster();
  const writers = await writing(cluster);
  const cut = [await backup(cluster), await backup(cluster)];
  const uncut = await backup(cluster, "--no-cut");
  await writers.stop();
  expect(writers.counts).toBeGreaterThan(1000);
  for (const { manifest, whyNoCut } of cut) {
    expect([manifest.isConsistent, whyNoCut]).toEqual([true, ""]);
    expect(manifest.cut?.pausedMs).toBeGreaterThan(0);
    for (const { feed } of manifest.partitions) expect(feed?.feedBytes).toBeGreaterThan(0);
  }
  expect([uncut.manifest.isConsistent, uncut.manifest.cut]).toEqual([false, undefined]);
  const { file } = cluster.config;
  for (const { id } of cut) {
    expect((await runTool("runtime", "twine-backup", file, "--verify", id)).code).toBe(0);
    expect(await tornAfterRestore(cluster, id)).toEqual([]);
  }
  expect(await tornAfterRestore(cluster, uncut.id)).not.toEqual([]);
}, 240_000);

const IDLE = `${CONF}m2=monitor localhost {m2}\nbackup-every 24d\ndown-after 1s\n`;

/** A backup as a process that runs beside the test. */
function backingUp(cluster: FaultCluster): Promise<{ code: number | null; taken: Taken }> {
  return runTool("runtime", "twine-backup", cluster.config.file, "--json").then(
    ({ code, out, err }) => {
      if (!out.startsWith("{")) throw new Error(`twine-backup gave no backup: ${err}`);
      return { code, taken: JSON.parse(out) as Taken };
    },
  );
}

test("a master that dies while the backup runs, and an alpha that dies while it cuts, cost a backup nothing", async () => {
  const cluster = await startedCluster(IDLE);
  await cluster.viewWhere("OK", isOk);
  const { file } = cluster.config;
  await firstBackup(cluster);
  for (const name of ["a1", "a2"])
    await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "0");
  for (const name of ["b1", "b2"])
    await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "4");
  const [a] = await masters(cluster);
  await cluster.ask(a, "SET", PAIRS[0]?.a ?? "", "7");
  const running = backingUp(cluster);
  const replica = a === "a1" ? "a2" : "a1";
  // Whoever reads a change feed is listed as a replica.
  await until("the feed of partition 0 is recorded", async () => {
    const list = await cluster.ask(replica, "CLIENT", "LIST", "TYPE", "replica");
    return typeof list === "string" && list.includes("addr=");
  });
  await cluster.kill(a);
  await cluster.viewWhere(
    "the replica is master",
    (view) => view.partitions[0]?.master === replica,
  );
  await cluster.ask(replica, "INCR", PAIRS[0]?.a ?? "");
  const failedOver = await running;
  expect([failedOver.code, failedOver.taken.whyNoCut]).toEqual([0, ""]);
  await cluster.heal();

  // A script keeps the cut open, and its alpha dies meanwhile.
  const [, b] = await masters(cluster);
  const { alpha = "", epoch = 0 } = (await cluster.view()) ?? {};
  for (const name of ["b1", "b2"])
    await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "0");
  const script =
    "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end " +
    "local from = now() repeat until now() > from + 600";
  const cutting = new AbortController();
  const busy = (async (): Promise<void> => {
    while (!cutting.signal.aborted)
      await cluster.ask(b, "EVAL", script, "0").catch(() => undefined);
  })();
  const next = backingUp(cluster);
  await cluster.viewWhere("a cut is under way", (view) => (view.cut ?? null) !== null);
  await cluster.kill(alpha);
  cutting.abort();
  await busy;
  await cluster.viewWhere(
    "another alpha has let it go",
    (view) => view.epoch > epoch && (view.cut ?? null) === null,
  );
  const { code, taken } = await next;
  expect([code, taken.whyNoCut, taken.manifest.isConsistent]).toEqual([0, "", true]);
  for (const name of await masters(cluster)) {
    expect(await cluster.ask(name, "SET", "written", "after all")).toBe("OK");
  }
  expect((await runTool("runtime", "twine-backup", file, "--verify", taken.id)).code).toBe(0);
}, 240_000);
