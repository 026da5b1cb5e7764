// twine-restore from files of any redis-server, on one cluster of three partitions: append only files in all their forms,
// and RDBs that the nodes can't load.
import { appendFileSync, copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { startRedis, type TestRedis } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const LIBRARY =
  "#!lua name=lib\nredis.register_function('f', function() return 'of the library' end)";

let cluster: FaultCluster;

beforeAll(async () => {
  cluster = await FaultCluster.create(
    clusterConf({ partitions: 3, nameOf: byLetter, lines: ["partitions 3"] }),
  );
  await cluster.start();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
}, 60_000);
afterAll(() => cluster.remove());

const restore = (...args: string[]) =>
  runTool("runtime", "twine-restore", cluster.config.file, "--yes", ...args);

/** Asks the master of the key's partition; `command` takes the key first. */
const on = (key: string, command: string, ...words: string[]): Promise<unknown> =>
  cluster.ask(["a1", "b1", "c1"][crc32(key) % 3] ?? "", command, key, ...words);

const keyCount = async (): Promise<number> => {
  const sizes = await Promise.all(["a1", "b1", "c1"].map((name) => cluster.ask(name, "DBSIZE")));
  return sizes.reduce<number>((sum, size) => sum + Number(size), 0);
};

/** A server with an append only file of all that there may be in one; killed, so that the file is as it was. */
async function written(...settings: string[]): Promise<TestRedis> {
  const server = await startRedis([
    "appendonly yes",
    "appendfsync always",
    "auto-aof-rewrite-percentage 0",
    ...settings,
  ]);
  const link = await server.link();
  await link.call("FUNCTION", "LOAD", LIBRARY);
  await link.call("EVAL", "redis.call('SET', KEYS[1], 1) redis.call('INCR', KEYS[1])", 1, "script");
  await link.call("MULTI");
  await link.call("MSET", "m:1", "1", "m:2", "2", "m:3", "3");
  await link.call("RPUSH", "list", "a", "b");
  await link.call("EXEC");
  await link.call("XADD", "stream", "1-1", "f", "v");
  await link.call("XGROUP", "CREATE", "stream", "g", "0");
  await link.call("SET", "late", "1", "PXAT", "4102444800000");
  await link.call("SET", "past", "1", "PX", "1");
  await link.call("SET", "renamed", "1");
  await link.call("RENAME", "renamed", "name:2");
  await link.call("SELECT", "3");
  await link.call("SET", "elsewhere", "in database 3");
  await link.call("SELECT", "0");
  await link.call("SET", "last", "in database 0");
  await server.kill();
  return server;
}

const folderOf = (server: TestRedis): string => join(server.folder, "appendonlydir");
const partOf = (server: TestRedis, ending: string): string =>
  join(folderOf(server), readdirSync(folderOf(server)).find((name) => name.endsWith(ending)) ?? "");

async function expectAll(): Promise<void> {
  const keys = ["script", "m:1", "m:2", "m:3", "late", "past", "name:2", "last", "renamed"];
  const values = await Promise.all(keys.map((key) => on(key, "GET")));
  expect(values).toEqual(["2", "1", "2", "3", "1", null, "1", "in database 0", null]);
  expect(await on("list", "LRANGE", "0", "-1")).toEqual(["a", "b"]);
  expect(await on("stream", "XLEN")).toBe(1);
  expect(await on("late", "PEXPIRETIME")).toBe(4102444800000);
  for (const name of ["a1", "b1", "c1"]) {
    expect(await cluster.ask(name, "FCALL", "f", "0")).toBe("of the library");
  }
  expect(await keyCount()).toBe(9);
  // As of an RDB, what lies in another database stays there.
  const node = ["a1", "b1", "c1"][crc32("elsewhere") % 3] ?? "";
  expect(await cluster.ask(node, "INFO", "keyspace")).toEqual(
    expect.stringContaining("db3:keys=1,"),
  );
}

test("an append only file in parts, by its folder or its manifest, and one in one piece, with and without an RDB", async () => {
  const parts = await written();
  const bare = await written("aof-use-rdb-preamble no");
  const single = join(parts.folder, "single.aof");
  // As Redis 6.2 writes it.
  copyFileSync(partOf(parts, ".base.rdb"), single);
  appendFileSync(single, readFileSync(partOf(parts, ".incr.aof")));
  const manifest = partOf(bare, ".manifest");
  for (const path of [folderOf(parts), manifest, single, partOf(bare, ".incr.aof")]) {
    const { code, out, err } = await restore("--aof", path);
    expect([path, code, err]).toEqual([path, 0, expect.not.stringContaining("error")]);
    expect(out).toContain("10 keys were restored on 3 nodes");
    await expectAll();
    await on("last", "DEL");
  }
}, 120_000);

test("a truncated one only if it is allowed, and a damaged one never; RDBs beside it are routed with it", async () => {
  const server = await written();
  const file = partOf(server, ".incr.aof");
  const whole = readFileSync(file);
  writeFileSync(
    file,
    Buffer.concat([whole, encodeCommand(["SET", "half", "x".repeat(50)])]).subarray(0, -10),
  );
  await on("untouched", "SET", "1");
  const refused = await restore("--aof", folderOf(server));
  expect([refused.code, refused.err]).toEqual([
    1,
    expect.stringMatching(/\.incr\.aof is whole up to byte \d+ of \d+.*--allow-truncated/s),
  ]);
  writeFileSync(
    partOf(server, ".base.rdb"),
    readFileSync(partOf(server, ".base.rdb")).subarray(0, -3),
  );
  const broken = await restore("--aof", folderOf(server), "--allow-truncated");
  expect([broken.code, broken.err]).toEqual([1, expect.stringMatching(/base\.rdb.*not whole/s)]);
  expect(await on("untouched", "GET")).toBe("1");

  const beside = await startRedis();
  const link = await beside.link();
  await link.call("SET", "of the RDB", "1");
  await link.call("SAVE");
  const given = ["--aof", file, "--allow-truncated", "--rdb", join(beside.folder, "dump.rdb")];
  const { code, err } = await restore(...given);
  expect([code, err]).toEqual([
    0,
    expect.stringMatching(/\.incr\.aof ends in the middle of a command: the last \d+ of its/),
  ]);
  expect(await on("of the RDB", "GET")).toBe("1");
  expect(await on("half", "GET")).toBeNull();
  expect(await on("last", "GET")).toBe("in database 0");

  await link.call("SET", "last", "twice");
  await link.call("SAVE");
  const twice = await restore(...given);
  expect([twice.code, twice.err]).toEqual([
    1,
    expect.stringMatching(/dump\.rdb and .*\.incr\.aof both hold the key 'last'/),
  ]);
  expect(await on("last", "GET")).toBe("in database 0");
}, 120_000);

test("what no server can load is refused before anything: a newer RDB, a wrong file, a wrong use", async () => {
  await on("untouched", "SET", "1");
  // An empty RDB of Redis 7.4: Twine reads it, and the nodes are older.
  const newer = join(cluster.folder, "newer.rdb");
  const info = (await cluster.ask("a1", "INFO", "server")) as string;
  const isOld = /redis_version:(6|7\.[0-2])\./.test(info);
  writeFileSync(newer, Buffer.concat([Buffer.from("REDIS0012\xff", "latin1"), Buffer.alloc(8)]));
  const refused = await restore("--rdb", newer);
  if (isOld) {
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringMatching(
        /a1: it runs Redis \S+, which can't load RDB version 12.*nothing was changed/s,
      ),
    ]);
    expect(await on("untouched", "GET")).toBe("1");
  }
  for (const [args, code, text] of [
    [["--aof", join(cluster.folder, "nothing")], 1, /there is no such file or folder/],
    [["--aof", cluster.folder], 1, /a folder with 0 manifests/],
    [["--aof", cluster.config.file], 1, /twine\.conf, byte 0: no command begins here/],
    [["--allow-truncated", "--rdb", newer], 2, /--allow-truncated is for --aof/],
    [["latest", "--aof", newer], 2, /name either a backup, a time/],
  ] as const) {
    const ran = await restore(...args);
    expect([ran.code, ran.err]).toEqual([code, expect.stringMatching(text)]);
  }
}, 120_000);
