// Backups of real redis-servers into real folders, with every operation of a folder failing in turn.
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { choose, listBackups } from "../../runtime/backup/list-backups.ts";
import { takeBackup, type BackupOptions } from "../../runtime/backup/take-backup.ts";
import { folderTarget } from "../../runtime/backup/targets/folder-target.ts";
import type { BackupTarget, BackupWriter } from "../../runtime/backup/targets/target.ts";
import { verifyBackup } from "../../runtime/backup/verify-backup.ts";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import type { NodeView } from "../../runtime/core/view.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

const clock = systemClock;
const partitionOf = (key: Uint8Array): number => crc32(key) % 2;
const hashing = builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions: 2 });

function node(name: string, partition: number, port: number, role: "master" | "replica"): NodeView {
  const at = { host: "localhost", port, db: 0, since: "", runId: null };
  return { name, kind: "data", partition, role, inSync: true, ...at };
}

/** a1, a2 (its replica) of partition 0; b1 of partition 1; 200 keys, ten of them expiring. */
async function cluster(): Promise<{
  view: BackupOptions["view"];
  a1: TestRedis;
  a2: TestRedis;
  b1: TestRedis;
}> {
  const [a1, a2, b1] = await Promise.all(
    [1, 2, 3].map(() => startRedis(["repl-diskless-sync-delay 0"])),
  );
  if (a1 === undefined || a2 === undefined || b1 === undefined) throw new Error("no servers");
  const [one, two] = [await a1.link(), await b1.link()];
  for (let at = 0; at < 200; at++) {
    const key = `key:${at}`;
    const link = partitionOf(Buffer.from(key)) === 0 ? one : two;
    await link.call("SET", key, `${at}`.repeat(2000), ...(at < 10 ? ["EX", 10_000] : []));
  }
  const replica = await a2.link();
  await replica.call("REPLICAOF", "127.0.0.1", a1.port);
  await until(
    "a2 follows",
    async () => (await replica.call("DBSIZE")) === (await one.call("DBSIZE")),
  );
  const nodes = [
    node("a1", 0, a1.port, "master"),
    node("a2", 0, a2.port, "replica"),
    node("b1", 1, b1.port, "master"),
  ];
  const partitions = ["a1", "b1"].map((master, index) => ({
    ...{
      index,
      master,
      replicas: [],
      dead: [],
      replicationId: null,
      lastMaster: master,
      needs: null,
    },
  }));
  return { view: { nodes, partitions }, a1, a2, b1 };
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "twine-backup-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

function target(name = "backups", pid = process.pid): BackupTarget {
  const place = join(folder, name);
  return folderTarget({
    name,
    folder: place,
    cluster: "test",
    clock,
    owner: { host: "here", pid },
  });
}

let count = 0;
function options(
  view: BackupOptions["view"],
  targets: readonly BackupTarget[],
  more: Partial<BackupOptions> = {},
): BackupOptions {
  return {
    cluster: "test",
    conf: "partitions 2\n",
    hashing,
    view,
    targets,
    keep: { kind: "last", count: 24 },
    compression: "none",
    twineVersion: "0",
    suffix: (count++).toString(16).padStart(3, "0"),
    openStream: openRdbStream,
    credentials: undefined,
    signal: new AbortController().signal,
    clock,
    partitionOf,
    ...more,
  };
}

describe.each(["none", "zstd"] as const)("compression %s", (compression) => {
  test("every partition lies in every folder, from a replica where there is one, and Redis loads it", async () => {
    const { view } = await cluster();
    const targets = [target("one"), target("two")];
    const taken = await takeBackup(options(view, targets, { compression }));
    expect(taken).toMatchObject({ targets: ["one", "two"], failures: [], retentionFailures: [] });
    const { partitions, id } = taken.manifest;
    expect(partitions.map(({ node, role }) => [node, role])).toEqual([
      ["a2", "replica"],
      ["b1", "master"],
    ]);
    expect(partitions.reduce((sum, { keys }) => sum + keys, 0)).toBe(200);
    expect(partitions.reduce((sum, { keysWithExpiry }) => sum + keysWithExpiry, 0)).toBe(10);
    for (const name of ["one", "two"]) {
      const place = join(folder, name, id);
      const suffix = compression === "zstd" ? ".zst" : "";
      const files = ["manifest.json", `partition-0.rdb${suffix}`, `partition-1.rdb${suffix}`];
      expect(readdirSync(place).toSorted()).toEqual(files);
      expect(statSync(place).mode & 0o777).toBe(0o700);
      for (const file of files) expect(statSync(join(place, file)).mode & 0o777).toBe(0o600);
    }
    for (const one of targets)
      expect(await verifyBackup(one, taken.manifest, { partitionOf })).toEqual([]);
    if (compression === "none") {
      const file = join(folder, "one", id, "partition-1.rdb");
      expect(execFileSync("redis-check-rdb", [file]).toString()).toContain("RDB looks OK");
    }
    const listing = await listBackups(targets);
    expect(listing.problems).toEqual([]);
    expect(listing.backups).toMatchObject([
      { id, keys: 200, targets: ["one", "two"], verified: null },
    ]);
    expect(choose(listing.copies, join(folder, "two", id))).toHaveLength(2);
  });
});

test("of several that began in one second, the latest is the one that began last", async () => {
  const { view } = await cluster();
  const ids: string[] = [];
  for (const [ms, suffix] of [
    ["007", "fff"],
    ["070", "abc"],
    ["700", "001"],
  ] as const) {
    const at = { ...clock, wallTime: () => `2026-12-01T10:00:00.${ms}Z` };
    const taken = await takeBackup(options(view, [target()], { clock: at, suffix }));
    ids.unshift(taken.manifest.id);
  }
  const { backups, copies } = await listBackups([target()]);
  expect(backups.map(({ id }) => id)).toEqual(ids);
  expect(choose(copies, "latest").map(({ manifest }) => manifest.id)).toEqual(ids.slice(0, 1));
});

test("keys that lie in a partition that is not theirs are counted and named", async () => {
  const { view, b1 } = await cluster();
  const foreign = Array.from({ length: 50 }, (_, at) => `f${at}`).filter(
    (key) => partitionOf(Buffer.from(key)) === 0,
  );
  await (await b1.link()).call("MSET", ...foreign.flatMap((key) => [key, "1"]));
  const { manifest } = await takeBackup(options(view, [target()]));
  expect(manifest.partitions[0]?.misplaced).toEqual({ count: 0, examples: [] });
  const { count: found, examples = [] } = manifest.partitions[1]?.misplaced ?? {};
  expect(found).toBe(foreign.length);
  expect(examples).toHaveLength(10);
  expect(foreign).toContain(Buffer.from(examples[0] ?? "", "base64").toString());
});

test("a replica that refuses or dies is followed by the master; nobody left is an error with every reason", async () => {
  const { view, a1, a2 } = await cluster();
  // Its link is down: it may be behind, and refuses.
  await (await a2.link()).call("REPLICAOF", "127.0.0.1", "1");
  const first = await takeBackup(options(view, [target()]));
  expect(first.manifest.partitions[0]).toMatchObject({ node: "a1", role: "master" });
  await a2.kill();
  const second = await takeBackup(options(view, [target()]));
  expect(second.manifest.partitions[0]).toMatchObject({ node: "a1", role: "master" });
  await a1.kill();
  const third = takeBackup(options(view, [target()]));
  await expect(third).rejects.toMatchObject({ code: "PARTITION_UNAVAILABLE" });
  await expect(third).rejects.toThrow(/partition 0 .*a2: .*ECONNREFUSED.*a1: .*ECONNREFUSED/s);
  const without = { ...view, nodes: view.nodes.filter(({ name }) => name !== "b1") };
  await expect(takeBackup(options(without, [target()]))).rejects.toThrow(
    /partition 1 .*neither a master nor/s,
  );
  expect((await listBackups([target()])).backups).toHaveLength(2);
  expect(readdirSync(join(folder, "backups"))).toHaveLength(2);
});

test("a folder that can't be written to has no copy and is named; the others have one", async () => {
  const { view } = await cluster();
  writeFileSync(join(folder, "bad"), "a file where a folder is needed");
  const taken = await takeBackup(options(view, [target("bad"), target("good")]));
  expect(taken.targets).toEqual(["good"]);
  expect(taken.failures).toMatchObject([
    { target: "bad", problem: { code: "BACKUP_TARGET_FAILED" } },
  ]);
  await expect(takeBackup(options(view, [target("bad")]))).rejects.toMatchObject({
    code: "BACKUP_TARGET_FAILED",
  });
});

function namesIn(name: string): string[] {
  return existsSync(join(folder, name)) ? readdirSync(join(folder, name)) : [];
}

/** A target whose n-th operation fails. */
function failing(
  real: BackupTarget,
  n: number,
): { target: BackupTarget; isReached: () => boolean } {
  let left = n;
  const step = async <T>(task: () => Promise<T>): Promise<T> => {
    left--;
    if (left === 0) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    return task();
  };
  const begin = async (id: string): Promise<BackupWriter> => {
    const writer = await step(() => real.begin(id));
    return {
      create: async (name) => {
        const file = await step(() => writer.create(name));
        return {
          write: (bytes) => step(() => file.write(bytes)),
          close: () => step(() => file.close()),
        };
      },
      commit: (manifest) => step(() => writer.commit(manifest)),
      abort: () => writer.abort(),
    };
  };
  const faulty: BackupTarget = {
    name: real.name,
    archive: real.archive,
    list: () => step(() => real.list()),
    sweep: () => step(() => real.sweep()),
    begin,
    read: (id, file) => real.read(id, file),
    writeNote: (...words) => real.writeNote(...words),
    remove: (id) => step(() => real.remove(id)),
  };
  return { target: faulty, isReached: () => left <= 0 };
}

test("whichever operation of a target fails: the other target has the backup, and every backup that is listed is good", async () => {
  const { view } = await cluster();
  const keep = { kind: "last", count: 2 } as const;
  let hasFailed = true;
  for (let n = 1; hasFailed; n++) {
    const { target: faulty, isReached } = failing(target("faulty"), n);
    const good = target("good");
    const taken = await takeBackup(options(view, [faulty, good], { keep, compression: "zstd" }));
    hasFailed = isReached();
    expect(taken.targets).toContain("good");
    const problems = [...taken.failures, ...taken.retentionFailures];
    expect(
      problems.map(({ target: name }) => name),
      `operation ${n}`,
    ).toEqual(hasFailed ? ["faulty"] : []);
    for (const one of [good, target("faulty")]) {
      const { copies, problems: unreadable } = await listBackups([one]);
      expect(unreadable).toEqual([]);
      for (const { manifest } of copies) expect(await verifyBackup(one, manifest)).toEqual([]);
      // Nothing of the backup that failed is left, and no more than the rule keeps.
      expect(namesIn(one.name)).toHaveLength(copies.length);
    }
    expect((await listBackups([good])).backups.length).toBeLessThanOrEqual(2);
  }
});

test("an aborted backup leaves nothing; what a killed one left is swept away by the next; a running one is not", async () => {
  const { view } = await cluster();
  const abort = new AbortController();
  const running = takeBackup(
    options(view, [target()], {
      signal: abort.signal,
      onBytes: () => {
        abort.abort(new Error("enough"));
      },
    }),
  );
  await expect(running).rejects.toThrow("enough");
  expect(readdirSync(join(folder, "backups"))).toEqual([]);
  const left = join(folder, "backups", "test-20200101T000000Z-aaaaaa");
  const foreign = join(folder, "backups", "other-20200101T000000Z-aaaaaa");
  for (const place of [left, foreign]) {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "partition-0.rdb"), "half");
  }
  // A process of another host that wrote a moment ago.
  writeFileSync(join(left, "in-progress.json"), JSON.stringify({ host: "elsewhere", pid: 5 }));
  await expect(takeBackup(options(view, [target()]))).rejects.toMatchObject({
    code: "BACKUP_RUNNING",
  });
  await expect(takeBackup(options(view, [target()]))).rejects.toThrow(/process 5 on elsewhere/);
  const longAgo = new Date(Date.now() - 3_600_000);
  for (const name of ["partition-0.rdb", "in-progress.json", "."])
    utimesSync(join(left, name), longAgo, longAgo);
  const { manifest } = await takeBackup(options(view, [target()]));
  expect(readdirSync(join(folder, "backups")).toSorted()).toEqual([
    "other-20200101T000000Z-aaaaaa",
    manifest.id,
  ]);
});

test("verifying finds a flipped byte, a missing file, a longer one and a changed manifest, all at once", async () => {
  const { view } = await cluster();
  const { manifest } = await takeBackup(options(view, [target()]));
  const place = (file: string): string => join(folder, "backups", manifest.id, file);
  const bytes = readFileSync(place("partition-0.rdb"));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(place("partition-0.rdb"), bytes);
  await rm(place("partition-1.rdb"));
  const problems = await verifyBackup(target(), manifest);
  expect(problems.map(({ message }) => message)).toEqual([
    expect.stringMatching(/partition-0\.rdb.*(SHA-256|CRC-64|byte)/),
    expect.stringMatching(/partition-1\.rdb.*ENOENT/),
  ]);
  writeFileSync(place("partition-1.rdb"), "longer");
  const changed = { ...manifest, partitions: manifest.partitions.slice(1) };
  expect(await verifyBackup(target(), changed)).toMatchObject([
    { message: expect.stringMatching(/6 bytes|begins with/) as string },
  ]);
});
