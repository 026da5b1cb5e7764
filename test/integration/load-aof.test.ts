// load-aof.test.ts: append only files of real redis-servers, loaded into real replica sets.
import { appendFile, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { RedCluster } from "../../runtime/client/red/red-cluster.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

async function redOver(count: number): Promise<RedCluster> {
  const masters = await Promise.all(Array.from({ length: count }, () => startRedis()));
  const red = new RedCluster(masters.map(({ port }) => ({ master: { host: "127.0.0.1", port } })));
  onTestFinished(() => {
    red.disconnect();
  });
  await red.ready();
  return red;
}

/** A server with an append only file, by default of commands alone, and data of every type. */
async function filled(...settings: string[]): Promise<TestRedis> {
  const server = await startRedis(["appendonly yes", "appendfsync always", ...settings]);
  const link = await server.link();
  for (let count = 0; count < 50; count++) await link.call("SET", `k${count}`, `v${count}`);
  await link.call("MSET", "m1", "1", "m2", "2", "m3", "3");
  await link.call("RPUSH", "list", "a", "b", "c");
  await link.call("HSET", "hash", "f", "1");
  await link.call("ZADD", "zset", "1.5", "x");
  await link.call("SADD", "set", "x", "y");
  await link.call("XADD", "stream", "1-1", "f", "v");
  await link.call("EVAL", "redis.call('set', KEYS[1], 1) redis.call('incr', KEYS[1])", 1, "lua");
  await link.call("SET", "late", "1", "EX", 1000);
  await link.call("DEL", "k0", "k1");
  return server;
}

async function expectAll(red: RedCluster): Promise<void> {
  expect(await red.dbsize()).toBe(48 + 3 + 5 + 2);
  expect(await red.mget("k0", "k2", "k49", "m3", "lua")).toEqual([null, "v2", "v49", "3", "2"]);
  expect(await red.lrange("list", 0, -1)).toEqual(["a", "b", "c"]);
  expect(await red.hgetall("hash")).toEqual({ f: "1" });
  expect(await red.zscore("zset", "x")).toBe("1.5");
  expect((await red.smembers("set")).sort()).toEqual(["x", "y"]);
  expect(await red.xlen("stream")).toBe(1);
  expect(await red.ttl("late")).toBeGreaterThan(900);
}

const folderOf = (server: TestRedis): string => join(server.folder, "appendonlydir");

async function incrementOf(server: TestRedis): Promise<string> {
  const names = await readdir(folderOf(server));
  return join(folderOf(server), names.find((name) => name.endsWith(".incr.aof")) ?? "");
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "no error",
    (error: unknown) =>
      error instanceof Error && "code" in error ? `${String(error.code)} ${error.message}` : "?",
  );

describe.skipIf(isMissing("redis-server"))("RedCluster.loadAofFile", () => {
  test("a folder of commands alone, by its folder or its manifest, with progress and a count", async () => {
    const server = await filled("aof-use-rdb-preamble no");
    await server.kill();
    const red = await redOver(3);
    const seen: number[] = [];
    const loaded = await red.loadAofFile(folderOf(server), {
      onProgress: ({ commands }) => seen.push(commands),
    });
    await expectAll(red);
    expect(loaded.keys).toBe(0);
    expect(loaded.truncated).toBeUndefined();
    expect(loaded.bytes).toBe(loaded.bytesTotal);
    expect(seen.at(-1)).toBe(loaded.commands);
    const text = (await readFile(await incrementOf(server))).toString("latin1");
    const inFile = text.match(/^\*\d+\r$/gm)?.length ?? 0;
    const markers = text.match(/\r\n(SELECT|MULTI|EXEC)\r\n/gi)?.length ?? 0;
    expect(loaded.commands).toBe(inFile - markers);
    const again = await redOver(1);
    const manifest = (await readdir(folderOf(server))).find((name) => name.endsWith(".manifest"));
    await again.loadAofFile(join(folderOf(server), manifest ?? ""));
    await expectAll(again);
  });

  test("a folder with an RDB base and increments", async () => {
    const server = await filled();
    const link = await server.link();
    await link.call("BGREWRITEAOF");
    await until("the file is rewritten", async () =>
      (await readdir(folderOf(server))).some((name) => name.includes(".2.base.rdb")),
    );
    await link.call("SET", "k2", "newer");
    await server.kill();
    const red = await redOver(2);
    const loaded = await red.loadAofFile(folderOf(server));
    expect(loaded).toMatchObject({ keys: 58, commands: 1 });
    expect(await red.get("k2")).toBe("newer");
    await red.set("k2", "v2");
    await expectAll(red);
  });

  // Two ways to load, one rule: Redis lets nothing expire before the whole file is read.
  for (const [kind, preamble] of [
    ["with an RDB base", "yes"],
    ["of commands alone", "no"],
  ]) {
    test(`keys whose TTL was extended or ended after it was written are kept: a folder ${kind}`, async () => {
      const server = await startRedis([
        ...["appendonly yes", "appendfsync always", "save ''"],
        `aof-use-rdb-preamble ${preamble ?? ""}`,
      ]);
      const link = await server.link();
      const names = ["lengthened", "ended", "moved", "over", "late"];
      await link.call("SET", "lengthened", "v", "PX", 1000);
      await link.call("SET", "ended", "41", "PX", 1000);
      await link.call("SET", "moved", "v", "PX", 1000);
      await link.call("SET", "over", "v", "PX", 1000);
      await link.call("BGREWRITEAOF");
      await until("the file is rewritten", async () =>
        (await readdir(folderOf(server))).some((name) => name.includes(".2.base.")),
      );
      await link.call("PEXPIRE", "lengthened", 600_000);
      await link.call("PERSIST", "ended");
      await link.call("INCR", "ended");
      await link.call("RENAME", "moved", "{moved}2");
      await link.call("PEXPIRE", "{moved}2", 600_000);
      await link.call("RENAME", "{moved}2", "moved");
      // In the increment only.
      await link.call("SET", "late", "v", "PX", 1000);
      await link.call("PEXPIRE", "late", 600_000);
      await server.kill();
      const overAt = Date.now() + 1000;
      await until("the first TTLs have passed", () => Date.now() > overAt);
      await server.start();
      const again = await server.link();
      const expected = await again.call("MGET", ...names);
      expect(expected).toEqual(["v", "42", "v", null, "v"]);
      const untilMs = (await again.call("PEXPIRETIME", "lengthened")) as number;
      await server.kill();
      const red = await redOver(1);
      await red.loadAofFile(folderOf(server));
      expect(await red.mget(...names)).toEqual(expected);
      expect(await red.dbsize()).toBe(4);
      expect(await red.ttl("ended")).toBe(-1);
      for (const name of ["lengthened", "moved", "late"]) {
        expect(await red.ttl(name)).toBeGreaterThan(500);
        expect(await red.ttl(name)).toBeLessThan(601);
      }
      if (preamble === "no") expect(await red.call("PEXPIRETIME", "lengthened")).toBe(untilMs);
    });
  }

  test("one file whose commands stand behind an RDB, as Redis before 7 wrote it", async () => {
    const server = await filled();
    const link = await server.link();
    await link.call("BGREWRITEAOF");
    await until("the file is rewritten", async () =>
      (await readdir(folderOf(server))).some((name) => name.includes(".2.base.rdb")),
    );
    await server.kill();
    const names = await readdir(folderOf(server));
    const base = names.find((name) => name.endsWith(".2.base.rdb")) ?? "";
    const file = join(server.folder, "appendonly.aof");
    const tail = Buffer.concat(
      [
        ["SELECT", "0"],
        ["SET", "tail", "1"],
      ].map(encodeCommand),
    );
    await writeFile(file, await readFile(join(folderOf(server), base)));
    await appendFile(file, tail);
    const red = await redOver(2);
    expect(await red.loadAofFile(file)).toMatchObject({ keys: 59, commands: 1 });
    expect(await red.get("tail")).toBe("1");
    await red.del("tail");
    await expectAll(red);
    // Half an RDB is nothing that could be loaded.
    await truncate(file, 100);
    const half = await codeOf(red.loadAofFile(file, { allowTruncated: true }));
    expect(half).toMatch(/^AOF_RDB_TRUNCATED .* byte 100/);
  });

  test("a file that its own redis-server needs a while to load is waited for", async () => {
    const server = await startRedis(["appendonly yes"]);
    await server.kill();
    const base = (await readdir(folderOf(server))).find((name) => name.endsWith(".base.rdb")) ?? "";
    const file = join(server.folder, "long.aof");
    const commands = Array.from({ length: 300_000 }, (_, index) =>
      encodeCommand(["SET", `k${index % 1000}`, String(index)]),
    );
    await writeFile(file, await readFile(join(folderOf(server), base)));
    await appendFile(file, Buffer.concat(commands));
    const red = await redOver(2);
    const seen: number[] = [];
    const loaded = await red.loadAofFile(file, { onProgress: ({ bytes }) => seen.push(bytes) });
    expect(loaded).toMatchObject({ keys: 1000, commands: 300_000, bytes: loaded.bytesTotal });
    expect(seen.at(-1)).toBe(loaded.bytesTotal);
    expect(await red.get("k999")).toBe("299999");
    expect(await red.dbsize()).toBe(1000);
  });

  test("a truncated file says at which byte, writes nothing, and with allowTruncated gives what is whole", async () => {
    const server = await filled("aof-use-rdb-preamble no");
    await server.kill();
    const file = await incrementOf(server);
    const whole = (await readFile(file)).length;
    const cut = Buffer.concat([["MULTI"], ["SET", "never", "1"]].map(encodeCommand));
    await appendFile(file, cut);
    const red = await redOver(2);
    const error = await codeOf(red.loadAofFile(folderOf(server)));
    expect(error).toMatch(new RegExp(`^AOF_TRUNCATED .* byte ${whole} of ${whole + cut.length}`));
    expect(await red.dbsize()).toBe(0);
    const loaded = await red.loadAofFile(folderOf(server), { allowTruncated: true });
    expect(loaded.truncated).toEqual({ file, byte: whole });
    await expectAll(red);
  });

  test("what can't be loaded is told before anything is written", async () => {
    const red = await redOver(2);
    const server = await startRedis();
    const file = join(server.folder, "own.aof");
    const load = async (...commands: string[]): Promise<string> => {
      const first = encodeCommand(["SET", "before", "1"]);
      const rest = commands.map((command) => encodeCommand(command.split(" ")));
      await writeFile(file, Buffer.concat([first, ...rest]));
      return codeOf(red.loadAofFile(file));
    };
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    const other = keys.find((key) => red.replicaSetOf(key) !== red.replicaSetOf("a")) ?? "";
    expect(await load(`RENAME a ${other}`)).toMatch(
      /^AOF_COMMAND_REFUSED .*byte 32: RENAME: its keys lie in different partitions/,
    );
    const unwritten = "must be cut out of a copy";
    const never = [
      "NONSENSE a",
      "SHUTDOWN",
      "CLIENT REPLY OFF",
      "BLPOP a 0",
      "SUBSCRIBE a",
      "XREAD BLOCK 0 STREAMS a $",
    ];
    for (const command of never) {
      const refused = await load(command);
      expect(refused).toMatch(/^AOF_COMMAND_REFUSED .*byte 32/);
      expect(refused).toContain(unwritten);
    }
    expect(await load("NONSENSE a")).toContain("unknown command");
    expect(await load("BLPOP a 0")).toContain("BLPOP: it may wait for ever");
    expect(await load("SELECT 0", "SET a 1", "SELECT 3", "SET a 2")).toMatch(
      /^AOF_SEVERAL_DATABASES .*databases 0 and 3/,
    );
    // A file begins in database 0, whether it says so or not.
    expect(await load("SELECT 1", "SET a 2")).toMatch(/^AOF_SEVERAL_DATABASES .*databases 0 and 1/);
    expect(await load("SELECT abc")).toMatch(/^AOF_BROKEN .*byte 32: SELECT abc: .*number/);
    await writeFile(file, "*1\r\n$4\r\nPINGPONG\r\n");
    expect(await codeOf(red.loadAofFile(file))).toMatch(/^AOF_BROKEN .*byte 12/);
    expect(await codeOf(red.loadAofFile("/nowhere"))).toMatch(/^AOF_MISSING/);
    expect(await codeOf(red.loadAofFile(server.folder))).toMatch(/^AOF_MISSING .*0 manifests/);
    expect(await red.dbsize()).toBe(0);
  });
});
