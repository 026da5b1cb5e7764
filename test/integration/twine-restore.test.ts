// twine-restore on whole clusters of real processes: everything is replaced, or nothing has changed.
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import type { View } from "../../runtime/core/view.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { firstBackup, startedCluster, twoPartitions } from "../support/one-partition.ts";
import { runTool } from "../support/run-tool.ts";
import { startRedis, until } from "../support/redis-server.ts";

const TWO = twoPartitions(
  "cluster restored",
  "backup-dir backups",
  "redis appendonly yes",
  "redis repl-diskless-sync-delay 0",
);
const isOk = ({ state }: View): boolean => state === "OK";
const KEYS = Array.from({ length: 200 }, (_, at) => `key:${at}`);

async function masterOf(cluster: FaultCluster, key: string, partitions: number): Promise<string> {
  const view = await cluster.viewWhere("all served", (seen) =>
    seen.partitions.every(({ master }) => master !== null),
  );
  return view.partitions[crc32(key) % partitions]?.master ?? "";
}

async function write(cluster: FaultCluster, value: string, keys = KEYS): Promise<void> {
  for (const index of [0, 1]) {
    const own = keys.filter((key) => crc32(key) % 2 === index);
    const master = await masterOf(cluster, own[0] ?? "", 2);
    await cluster.ask(master, "MSET", ...own.flatMap((key) => [key, value]));
  }
}

/** How often each node of TWO has sent all its data. */
function fullSyncs(cluster: FaultCluster): Promise<(string | undefined)[]> {
  return Promise.all(
    ["a1", "a2", "b1", "b2"].map(async (name) => {
      const stats = await cluster.ask(name, "INFO", "stats");
      return /sync_full:(\d+)/.exec(typeof stats === "string" ? stats : "")?.[1];
    }),
  );
}

/** The id of a backup taken now, after the first one, which the alpha takes by itself. */
async function backedUp(cluster: FaultCluster): Promise<string> {
  await firstBackup(cluster);
  const { code, out, err } = await runTool("runtime", "twine-backup", cluster.config.file);
  expect([code, err]).toEqual([0, expect.not.stringContaining("error")]);
  return out.slice(0, out.indexOf(":"));
}

/** value -> how many of KEYS have it. */
async function valuesIn(
  cluster: FaultCluster,
  partitions: number,
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (let index = 0; index < partitions; index++) {
    const own = KEYS.filter((key) => crc32(key) % partitions === index);
    const values = await cluster.ask(
      await masterOf(cluster, own[0] ?? "", partitions),
      "MGET",
      ...own,
    );
    for (const value of values as (string | null)[])
      found[String(value)] = (found[String(value)] ?? 0) + 1;
  }
  return found;
}

test("a backup replaces everything, on every node and also after a kill -9; a restored cluster takes writes", async () => {
  const cluster = await startedCluster(TWO);
  const { file } = cluster.config;
  await write(cluster, "saved");
  await cluster.viewWhere("OK", isOk);
  await backedUp(cluster);
  await write(cluster, "written later");
  await cluster.ask(await masterOf(cluster, "key:1", 2), "SET", "key:1", "more");

  const unasked = await runTool("runtime", "twine-restore", file, "latest");
  expect([unasked.code, unasked.err]).toEqual([
    2,
    expect.stringContaining("repeat the command with --yes"),
  ]);
  expect(unasked.err).toContain("200 keys of all 2 partitions will be replaced by 200 keys");
  expect(unasked.err).toMatch(
    /^newest write: after 20\d\d-[^;]+Z; the nodes count \d+ changes since/m,
  );
  expect(unasked.err).toMatch(
    /^newest backup: restored-.*; at most [\d.]+ k?B were written since$/m,
  );
  expect(await valuesIn(cluster, 2)).toEqual({ "written later": 199, more: 1 });

  const before = await fullSyncs(cluster);
  const restored = await runTool("runtime", "twine-restore", file, "latest", "--yes");
  expect([restored.code, restored.err]).toEqual([0, expect.not.stringContaining("error")]);
  expect(restored.out).toContain("200 keys were restored on 4 nodes");
  expect(await valuesIn(cluster, 2)).toEqual({ saved: 200 });
  const view = await cluster.viewWhere("OK", isOk);
  expect(view.restore ?? null).toBeNull();
  // Siblings went on from the same history: nobody sent all its data again.
  expect(await fullSyncs(cluster)).toEqual(before);
  await write(cluster, "after the restore", ["key:1", "key:2", "key:3", "key:4"]);
  await cluster.viewWhere("OK", isOk);
  await cluster.kill("a1", "a2");
  await cluster.heal();
  await cluster.viewWhere("OK after kill -9", isOk);
  expect(await valuesIn(cluster, 2)).toEqual({ saved: 196, "after the restore": 4 });
}, 240_000);

test("single keys come back under names of their own, or into a file, and nothing else is touched", async () => {
  const cluster = await startedCluster(TWO);
  const { file } = cluster.config;
  await write(cluster, "saved");
  const masterOfKey = (key: string): Promise<string> => masterOf(cluster, key, 2);
  const on = async (key: string, command: string, ...words: string[]): Promise<unknown> =>
    cluster.ask(await masterOfKey(key), command, key, ...words);
  const long = "x".repeat(700_000);
  await on("cart:1", "RPUSH", ...Array.from({ length: 500 }, (_, at) => `item ${at}`));
  await on("cart:2", "SET", long);
  await on("cart:3", "HSET", "a", "1", "b", "2");
  await on("cart:3", "PEXPIREAT", "4102444800000");
  await cluster.viewWhere("OK", isOk);
  await backedUp(cluster);
  await write(cluster, "later");
  for (const key of ["cart:1", "cart:2", "cart:3"]) await on(key, "DEL");
  const restore = (...args: string[]) =>
    runTool("runtime", "twine-restore", file, "latest", ...args);

  const given = await restore("--keys", "cart:?", "--prefix", "back:");
  expect([given.code, given.err]).toEqual([0, ""]);
  expect(given.out).toBe("3 keys were restored as back:...\n");
  expect(await on("back:cart:1", "LRANGE", "0", "-1")).toHaveLength(500);
  expect(await on("back:cart:2", "GET")).toBe(long);
  expect(await on("back:cart:3", "HGETALL")).toEqual(["a", "1", "b", "2"]);
  expect(await on("back:cart:3", "PEXPIRETIME")).toBe(4102444800000);
  expect(await on("cart:1", "EXISTS")).toBe(0);
  expect(await valuesIn(cluster, 2)).toEqual({ later: 200 });

  const none = await restore("--keys", "cat:*", "--prefix", "back:");
  expect([none.code, none.out]).toEqual([0, "no key of the backup matches cat:*\n"]);

  await on("back:cart:2", "SET", "mine");
  await on("back:cart:1", "DEL");
  const again = await restore("--keys", "cart:*", "--prefix", "back:");
  expect([again.code, again.err]).toEqual([1, expect.stringContaining("2 names exist already")]);
  expect(await on("back:cart:2", "GET")).toBe("mine");
  expect(await on("back:cart:1", "LLEN")).toBe(500);

  const path = join(cluster.folder, "carts.rdb");
  const filed = await restore("--keys", "cart:*", "--to-file", path, "--json");
  expect([filed.code, JSON.parse(filed.out)]).toEqual([0, { ok: true, keys: 3, expired: 0 }]);
  const taken = await restore("--keys", "cart:*", "--to-file", path);
  expect([taken.code, taken.err]).toEqual([1, expect.stringContaining("exists")]);
  const server = await startRedis(["dbfilename carts.rdb"]);
  await server.kill();
  copyFileSync(path, join(server.folder, "carts.rdb"));
  await server.start();
  const link = await server.link();
  expect(((await link.call("KEYS", "*")) as string[]).toSorted()).toEqual([
    "cart:1",
    "cart:2",
    "cart:3",
  ]);
  expect(await link.call("GET", "cart:2")).toBe(long);

  for (const args of [
    ["--keys", "*"],
    ["--keys", "*", "--prefix", "a", "--to-file", "b"],
    ["--prefix", "a"],
  ]) {
    expect((await restore(...args)).code).toBe(2);
  }
}, 240_000);

/** A restore as a process that a test can end. */
function restoring(cluster: FaultCluster) {
  const args = [binPath("twine-restore", "runtime"), "latest", "--yes"];
  const child = spawn(process.execPath, [...args, "--conf", cluster.config.file], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let err = "";
  child.stderr.on("data", (data: Buffer) => (err += data.toString()));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  return { child, exit, err: () => err };
}

test("ended before the release, by Ctrl-C or kill -9, the old data is served again by the old masters", async () => {
  const cluster = await startedCluster(TWO);
  await write(cluster, "saved");
  await cluster.viewWhere("OK", isOk);
  await backedUp(cluster);
  await write(cluster, "old");
  const before = await cluster.viewWhere("OK", isOk);
  for (const [signal, code, text] of [
    ["SIGINT", 130, "no node has changed"],
    ["SIGKILL", null, ""],
  ] as const) {
    // Method: b2 shows a password that is longer than any command which is read there; so the restore waits for it.
    await cluster.ask("b2", "CONFIG", "SET", "masterauth", "x".repeat(70_000));
    const { child, exit, err } = restoring(cluster);
    await cluster.viewWhere("a restore runs", (view) => view.restore?.phase === "loading");
    await until("the others have all but the last bytes", async () => {
      const infos = await Promise.all(
        ["a1", "a2", "b1"].map((name) => cluster.ask(name, "INFO", "replication")),
      );
      return infos.every(
        (info) => typeof info === "string" && info.includes("master_sync_in_progress:1"),
      );
    });
    child.kill(signal);
    expect([await exit, err()]).toEqual([code, expect.stringContaining(text)]);
    await cluster.ask("b2", "CONFIG", "SET", "masterauth", "");
    const view = await cluster.viewWhere(
      "served again",
      (seen) => isOk(seen) && (seen.restore ?? null) === null,
    );
    expect(view.partitions.map(({ master }) => master)).toEqual(
      before.partitions.map(({ master }) => master),
    );
    expect(await valuesIn(cluster, 2)).toEqual({ old: 200 });
  }
}, 240_000);

const THREE = TWO.replace("partitions 2", "partitions 3")
  .replace("cluster restored", "cluster other")
  .replace("s1=status", "c1=data 2 localhost {c1} 0\ns1=status");

test("a backup, and its RDB files, go into a cluster of another number of partitions; bad input changes nothing", async () => {
  const cluster = await startedCluster(TWO);
  await write(cluster, "saved");
  await cluster.viewWhere("OK", isOk);
  const id = await backedUp(cluster);
  const backup = join(cluster.folder, "backups", id);
  const other = await startedCluster(THREE);
  const { file } = other.config;
  const restored = await runTool("runtime", "twine-restore", file, backup, "--yes");
  expect([restored.code, restored.err]).toEqual([0, expect.not.stringContaining("error")]);
  expect(await valuesIn(other, 3)).toEqual({ saved: 200 });

  const one = join(other.folder, "one.rdb");
  copyFileSync(join(backup, "partition-0.rdb"), one);
  const plain = await runTool("runtime", "twine-restore", file, "--rdb", one, "--yes");
  expect([plain.code, plain.err]).toEqual([0, expect.not.stringContaining("error")]);
  const half = KEYS.filter((key) => crc32(key) % 2 === 0).length;
  expect(await valuesIn(other, 3)).toEqual({ saved: half, null: 200 - half });

  writeFileSync(one, "REDIS0099 and more");
  const newer = await runTool("runtime", "twine-restore", file, "--rdb", one, "--yes");
  expect([newer.code, newer.err]).toEqual([
    1,
    expect.stringMatching(/one\.rdb: .*version is REDIS 99.*remedy/s),
  ]);
  const missing = await runTool("runtime", "twine-restore", file, "--rdb", "/no/such.rdb", "--yes");
  expect([missing.code, missing.err]).toEqual([1, expect.stringContaining("/no/such.rdb")]);
  writeFileSync(join(backup, "partition-1.rdb"), "REDIS0010");
  const broken = await runTool("runtime", "twine-restore", file, backup, "--yes");
  expect([broken.code, broken.err]).toEqual([
    1,
    expect.stringMatching(/partition-1\.rdb.*nothing was restored/s),
  ]);
  expect(await valuesIn(other, 3)).toEqual({ saved: half, null: 200 - half });
  expect((await runTool("runtime", "twine-restore", file)).code).toBe(2);
  // What a killed restore left is removed by the next one, whatever becomes of that; its own folder, too.
  const scratch = join(other.folder, "scratch");
  mkdirSync(join(scratch, "twine-restore-999999999-a"), { recursive: true });
  mkdirSync(join(scratch, `twine-restore-${process.pid}-a`));
  await runTool("runtime", "twine-restore", file, backup, "--yes", "--scratch", scratch);
  expect(readdirSync(scratch)).toEqual([`twine-restore-${process.pid}-a`]);
}, 240_000);
