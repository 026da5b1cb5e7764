// cut-feeds.test.ts: change feeds of real servers from an RDB to a cut, and what comes back of them; broken feeds, and no cut.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { sourcesOf } from "../../runtime/replication/choose-source.ts";
import type { Compression, Manifest } from "../../runtime/backup/manifest.ts";
import { prepareBackup, type Prepared } from "../../runtime/backup/restore/prepare.ts";
import { privateFiles } from "../../runtime/backup/restore/private-files.ts";
import { takeBackup, type BackupOptions } from "../../runtime/backup/take-backup.ts";
import { folderTarget } from "../../runtime/backup/targets/folder-target.ts";
import { verifyBackup } from "../../runtime/backup/verify-backup.ts";
import type { Cut } from "../../runtime/core/cut.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import type { NodeView, View } from "../../runtime/core/view.ts";
import { takeCut } from "../../runtime/monitor/act/take-cut.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

const hashing = builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions: 2 });
const partitionOf = (key: Uint8Array): number => crc32(key) % 2;

interface Scene {
  readonly servers: { readonly a1: TestRedis; readonly a2: TestRedis; readonly b1: TestRedis };
  /** Of the masters a1 and b1. */
  readonly a: RedisLink;
  readonly b: RedisLink;
  /** The replica a2. */
  readonly replica: RedisLink;
  view: Pick<View, "nodes" | "partitions">;
}

const nodeOf = (
  name: string,
  partition: number,
  port: number,
  role: NodeView["role"],
): NodeView => ({
  ...{ name, kind: "data", partition, role, inSync: true, host: "localhost", port, db: 0 },
  ...{ since: "", runId: null },
});

async function textIn(link: RedisLink, section: string): Promise<string> {
  const info = await link.call("INFO", section);
  return typeof info === "string" ? info : "";
}

/** a1 with its replica a2, and b1 alone. */
async function scene(): Promise<Scene> {
  const start = () => startRedis(["repl-diskless-sync-delay 0"]);
  const servers = { a1: await start(), a2: await start(), b1: await start() };
  const [a, replica, b] = await Promise.all(
    [servers.a1, servers.a2, servers.b1].map((server) => server.link()),
  );
  if (a === undefined || b === undefined || replica === undefined) throw new Error("no links");
  await replica.call("REPLICAOF", "127.0.0.1", servers.a1.port);
  await until("a2 follows", async () =>
    (await textIn(replica, "replication")).includes("master_link_status:up"),
  );
  const partitions = ["a1", "b1"].map((master, index) => ({
    ...{ index, master, replicas: [], dead: [], replicationId: null, lastMaster: master },
    needs: null,
  }));
  const nodes = [
    nodeOf("a1", 0, servers.a1.port, "master"),
    nodeOf("a2", 0, servers.a2.port, "replica"),
    nodeOf("b1", 1, servers.b1.port, "master"),
  ];
  return { servers, a, b, replica, view: { nodes, partitions } };
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "twine-cut-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function cutNow({ a, b }: Scene): Promise<Cut> {
  const masters = [
    { node: "a1", link: a },
    { node: "b1", link: b },
  ];
  const taken = await takeCut(masters, clock);
  if (taken.kind === "sampled") return taken.cut;
  throw new TwineError({ code: "REFUSED", message: taken.why, remedy: "" });
}

const targetOf = (folder: string) =>
  folderTarget({
    ...{ name: "backups", folder, cluster: "test", clock },
    owner: { host: "here", pid: process.pid },
  });

function taking(of: Scene, folder: string, ask: () => Promise<Cut>, compression: Compression) {
  const options: BackupOptions = {
    ...{ cluster: "test", conf: "partitions 2\n", hashing, compression, twineVersion: "0" },
    ...{ view: of.view, targets: [targetOf(folder)], suffix: "abc", partitionOf },
    ...{ keep: { kind: "last", count: 24 }, openStream: openRdbStream, credentials: undefined },
    ...{ clock, signal: new AbortController().signal },
    cutting: { ask, sourcesNow: (partition) => Promise.resolve(sourcesOf(of.view, partition)) },
  };
  return takeBackup(options);
}

async function preparing(folder: string, manifest: Manifest): Promise<Prepared> {
  return prepareBackup(targetOf(folder), manifest, {
    ...{
      folder: await newFolder(),
      files: privateFiles,
      hashing,
      partitionOf,
      dbOf: () => 0,
      clock,
    },
    ...{ sourcePartitionOf: undefined, signal: new AbortController().signal },
  });
}

/** A server on the prepared RDB of a partition. */
async function loaded({ partitions }: Prepared, partition: number): Promise<RedisLink> {
  const path = partitions[partition]?.path ?? "";
  const at = path.lastIndexOf("/");
  const server = await startRedis([`dir ${path.slice(0, at)}`, `dbfilename ${path.slice(at + 1)}`]);
  return server.link();
}

const keyIn = (partition: number, name: string): string => {
  for (let at = 0; ; at++) {
    if (partitionOf(Buffer.from(`${name}${at}`)) === partition) return `${name}${at}`;
  }
};
const [A, B, PASSED, GONE] = [keyIn(0, "a"), keyIn(1, "b"), keyIn(0, "passed"), keyIn(0, "gone")];

test("a feed without a write up to the cut needs no server of our own: the RDB is restored as it lies there", async () => {
  const of = await scene();
  await of.a.call("SET", A, "before the RDB");
  await of.b.call("SET", B, "before the RDB");
  // The RDB is the replica's.
  expect(await of.a.call("WAIT", 1, 30_000)).toBe(1);
  const folder = await newFolder();
  const ask = async (): Promise<Cut> => {
    await of.a.call("PUBLISH", "channel", "message");
    const cut = await cutNow(of);
    await of.a.call("SET", A, "too late");
    return cut;
  };
  const { manifest } = await taking(of, folder, ask, "none");
  const { cut, partitions } = manifest;
  expect(cut?.marks[0]?.offset).toBeGreaterThan(partitions[0]?.offset ?? Infinity);
  const prepared = await preparing(folder, manifest);
  for (const { file, partition } of partitions) {
    const path = prepared.partitions[partition]?.path ?? "";
    expect(readFileSync(path).equals(readFileSync(join(folder, manifest.id, file)))).toBe(true);
  }
});

test.each<Compression>(["none", "zstd"])(
  "compression %s: what was written up to the cut comes back, nothing behind it, and nothing expires on the way",
  async (compression) => {
    const of = await scene();
    const { a, b } = of;
    await a.call("SET", A, "before the RDB");
    await b.call("SET", B, "before the RDB");
    const folder = await newFolder();
    const ask = async (): Promise<Cut> => {
      await a.call("APPEND", A, ", in the feed");
      await a.call("PUBLISH", "channel", "must reach nobody");
      await a.call(
        "FUNCTION",
        "LOAD",
        "#!lua name=one\nredis.register_function('f', function() return 1 end)",
      );
      await a.call(
        "EVAL",
        "redis.call('SADD',KEYS[1],1) redis.call('SADD',KEYS[1],2)",
        1,
        keyIn(0, "set"),
      );
      // Its time has passed when the feed is run: a master would lose the 5.
      await a.call("SET", PASSED, 5, "PX", 1000);
      await a.call("PERSIST", PASSED);
      await a.call("INCR", PASSED);
      await a.call("SET", GONE, "1", "PX", 1000);
      await b.call("SELECT", 3);
      await b.call("SET", "other database", "1");
      await b.call("SELECT", 0);
      await b.call("APPEND", B, ", in the feed");
      const cut = await cutNow(of);
      await a.call("APPEND", A, ", too late");
      await b.call("SET", keyIn(1, "late"), "1");
      return cut;
    };
    const { manifest, whyNoCut } = await taking(of, folder, ask, compression);
    expect([manifest.isConsistent, whyNoCut]).toEqual([true, ""]);
    expect(await verifyBackup(targetOf(folder), manifest, { partitionOf })).toEqual([]);
    await clock.delay(1100);
    const prepared = await preparing(folder, manifest);
    expect(prepared.expired).toBe(1);
    const [one, two] = [await loaded(prepared, 0), await loaded(prepared, 1)];
    expect(await one.call("GET", A)).toBe("before the RDB, in the feed");
    expect(await one.call("GET", PASSED)).toBe("6");
    expect(await one.call("GET", GONE)).toBeNull();
    expect(await one.call("SCARD", keyIn(0, "set"))).toBe(2);
    expect(await one.call("FCALL", "f", 0)).toBe(1);
    expect(await two.call("GET", B)).toBe("before the RDB, in the feed");
    expect(await two.call("GET", keyIn(1, "late"))).toBeNull();
    await two.call("SELECT", 3);
    expect(await two.call("GET", "other database")).toBe("1");
  },
);

test("a flipped byte, a missing feed and a cut inside of a command are named, and nothing is prepared", async () => {
  const of = await scene();
  const folder = await newFolder();
  const ask = async (): Promise<Cut> => {
    await of.a.call("SET", A, "x".repeat(100));
    return cutNow(of);
  };
  const { manifest } = await taking(of, folder, ask, "none");
  const path = join(folder, manifest.id, "partition-0.feed");
  const whole = readFileSync(path);
  const [first, ...others] = manifest.cut?.marks ?? [];
  if (first === undefined || manifest.cut === undefined) throw new Error("there is no cut");
  const earlier = { ...manifest.cut, marks: [{ ...first, offset: first.offset - 5 }, ...others] };
  const flipped = Buffer.from(whole);
  flipped[20] = (flipped[20] ?? 0) ^ 1;
  const write = (bytes: Buffer) => (): void => {
    writeFileSync(path, bytes);
  };
  const remove = (): void => {
    rmSync(path);
  };
  const cases: readonly (readonly [() => void, Manifest, string])[] = [
    [write(flipped), manifest, "partition-0.feed has SHA-256"],
    [remove, manifest, "partition-0.feed"],
    [write(whole), { ...manifest, cut: earlier }, "the cut lies inside of a command"],
  ];
  for (const [damage, given, why] of cases) {
    damage();
    const problems = await verifyBackup(targetOf(folder), given, { partitionOf });
    expect(problems.map(({ code }) => code)).toEqual(["BACKUP_BROKEN"]);
    expect(problems[0]?.message).toContain(why);
    await expect(preparing(folder, given)).rejects.toThrow(why);
  }
  // Both files of one partition are named.
  const rdb = join(folder, manifest.id, "partition-0.rdb");
  writeFileSync(rdb, "REDIS");
  rmSync(path);
  const problems = await verifyBackup(targetOf(folder), manifest, { partitionOf });
  expect(problems.map(({ message }) => /: (\S+?):? /.exec(message)?.[1])).toEqual([
    "partition-0.rdb",
    "partition-0.feed",
  ]);
});

test("a feed that breaks off goes on: at the same node, at its master, and after a failover under a new history", async () => {
  const of = await scene();
  const { a, replica, servers } = of;
  const folder = await newFolder();
  const ask = async (): Promise<Cut> => {
    await a.call("SET", A, "1");
    await replica.call("CLIENT", "KILL", "TYPE", "replica");
    await a.call("APPEND", A, "2");
    await clock.delay(300);
    // a2 is promoted: its feed ends, and goes on under the new id.
    await a.call("WAIT", 1, 0);
    await replica.call("REPLICAOF", "NO", "ONE");
    await replica.call("APPEND", A, "3");
    of.view = {
      nodes: [
        nodeOf("a2", 0, servers.a2.port, "master"),
        nodeOf("b1", 1, servers.b1.port, "master"),
      ],
      partitions: of.view.partitions.map((one, at) => (at === 0 ? { ...one, master: "a2" } : one)),
    };
    return cutNow({ ...of, a: replica });
  };
  const { manifest, whyNoCut } = await taking(of, folder, ask, "none");
  expect([manifest.isConsistent, whyNoCut]).toEqual([true, ""]);
  const [saved] = manifest.partitions;
  expect(saved?.feed?.replicationId).not.toBe(saved?.replicationId);
  const one = await loaded(await preparing(folder, manifest), 0);
  expect(await one.call("GET", A)).toBe("123");
});

test("a feed that no node continues costs its partition another RDB, and the cut is made with that", async () => {
  const of = await scene();
  const { a, replica, servers } = of;
  await a.call("CONFIG", "SET", "repl-backlog-size", 16_384);
  const folder = await newFolder();
  let asked = 0;
  const ask = async (): Promise<Cut> => {
    asked++;
    if (asked === 1) {
      of.view = { ...of.view, nodes: of.view.nodes.filter(({ name }) => name !== "a2") };
      await replica.call("SHUTDOWN", "NOSAVE").catch(() => undefined);
      for (let at = 0; at < 20; at++) await a.call("SET", A, `${at}`.repeat(10_000));
      expect(servers.a1.port).toBeGreaterThan(0);
    }
    await a.call("SET", A, "last");
    return cutNow(of);
  };
  const { manifest, whyNoCut } = await taking(of, folder, ask, "none");
  expect([manifest.isConsistent, whyNoCut, asked]).toEqual([true, "", 2]);
  expect(manifest.partitions[0]?.node).toBe("a1");
  expect(await verifyBackup(targetOf(folder), manifest, { partitionOf })).toEqual([]);
  const one = await loaded(await preparing(folder, manifest), 0);
  expect(await one.call("GET", A)).toBe("last");
});

test("a cut that is void is taken again; none at all, a silent alpha, or min-replicas-to-write on a lone master: kept without", async () => {
  const of = await scene();
  const refusal = new TwineError({ code: "REFUSED", message: "the cut is void", remedy: "" });
  let asked = 0;
  const second = async (): Promise<Cut> => {
    asked++;
    if (asked === 1) throw refusal;
    return cutNow(of);
  };
  const cut = await taking(of, await newFolder(), second, "none");
  expect([cut.manifest.isConsistent, cut.whyNoCut, asked]).toEqual([true, "", 2]);

  const never = (error: TwineError) => async (): Promise<Cut> => {
    asked++;
    return Promise.reject(error);
  };
  const silence = new TwineError({ code: "NO_ANSWER", message: "no alpha answered", remedy: "" });
  for (const [error, tries] of [
    [refusal, 5],
    [silence, 1],
  ] as const) {
    asked = 0;
    const folder = await newFolder();
    const { manifest, whyNoCut } = await taking(of, folder, never(error), "none");
    expect([manifest.isConsistent, manifest.cut, asked]).toEqual([false, undefined, tries]);
    expect(whyNoCut).toBe(error.message);
    expect(await verifyBackup(targetOf(folder), manifest, { partitionOf })).toEqual([]);
    expect((await preparing(folder, manifest)).expired).toBe(0);
  }

  // A replica that the view does not know, so that b1 takes writes.
  await startRedis([`replicaof 127.0.0.1 ${of.servers.b1.port}`]);
  await until("b1 is followed", async () =>
    (await textIn(of.b, "replication")).includes("state=online"),
  );
  await of.b.call("CONFIG", "SET", "min-replicas-to-write", 1);
  const writing = async (): Promise<Cut> => {
    await of.b.call("SET", B, "1");
    return cutNow(of);
  };
  const { manifest, whyNoCut } = await taking(of, await newFolder(), writing, "none");
  expect(manifest.isConsistent).toBe(false);
  expect(whyNoCut).toContain("partition 1: only its master b1 could give the feed");
});
