// router-commands.test.ts: the router over three redis-servers, beside one redis-server that gets the same commands.
import { execFile } from "node:child_process";
import { describe, expect, test } from "vitest";
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { routerBesideRedis } from "../support/router-beside-redis.ts";
import type { RawClient } from "../support/router-cluster.ts";
import { seededRandom, type SeededRandom } from "../support/seeded-random.ts";

describe.skipIf(isMissing("redis-server", "redis-cli", "redis-benchmark"))("router", () => {
  const beside = routerBesideRedis();

  test("what a browser was made to send is cut off before it does anything", async () => {
    const client = await beside.cluster.client();
    await client.call("SET kept 1");
    for (const head of ["POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n"]) {
      const browser = await beside.cluster.client();
      browser.send(`${head}\r\nFLUSHALL\r\n`);
      let reply = await browser.reply();
      while (reply !== "closed") {
        expect(reply).toMatch(/^-ERR/);
        reply = await browser.reply();
      }
    }
    expect(await client.call("GET kept")).toBe("$1\r\n1\r\n");
  });

  const both = async (): Promise<{ router: RawClient; redis: RawClient }> => {
    const [router, redis] = await beside.both();
    await Promise.all([router.call("FLUSHALL"), redis.call("FLUSHALL")]);
    return { router, redis };
  };

  for (const protocol of [2, 3]) {
    test(`3,000 seeded commands get the replies of one redis-server, in RESP${protocol}`, async () => {
      const { router, redis } = await both();
      await router.call(`HELLO ${protocol}`);
      await redis.call(`HELLO ${protocol}`);
      const seeded = seededRandom(20 + protocol);
      for (let batch = 0; batch < 100; batch++) {
        const commands = Array.from({ length: 30 }, () => randomCommand(seeded));
        for (const client of [router, redis]) {
          client.send(Buffer.concat(commands.map((args) => encodeCommand(args))));
        }
        for (const args of commands) {
          const [ours, theirs] = [await router.reply(), await redis.reply()];
          const isUnordered = /^(KEYS|SMEMBERS|SUNION)$/i.test(args[0] ?? "");
          const shown = (reply: string): unknown =>
            isUnordered ? reply.split("\r\n").sort() : reply;
          expect([args, shown(ours)]).toEqual([args, shown(theirs)]);
        }
      }
      redis.socket.destroy();
    });
  }

  test("50 clients pipelining at once get their own replies, each in its order", async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => beside.cluster.client()));
    const seeded = seededRandom(7);
    await Promise.all(
      clients.map(async (client, id) => {
        const model = new Map<string, string>();
        for (let round = 0; round < 10; round++) {
          const expected: string[] = [];
          const bytes: Buffer[] = [];
          for (let count = 0; count < 40; count++) {
            const key = `c${id}-${seeded.below(20)}`;
            if (seeded.isOnceIn(2)) {
              const value = `${id}.${round}.${count}`;
              model.set(key, value);
              bytes.push(encodeCommand(["SET", key, value]));
              expected.push("+OK\r\n");
            } else {
              const value = model.get(key);
              bytes.push(encodeCommand(["GET", key]));
              expected.push(value === undefined ? "$-1\r\n" : `$${value.length}\r\n${value}\r\n`);
            }
          }
          client.send(Buffer.concat(bytes));
          const replies: string[] = [];
          while (replies.length < expected.length) replies.push(await client.reply());
          expect(replies).toEqual(expected);
        }
      }),
    );
  });

  test("each key is in the one partition that the hash names, in that partition's database", async () => {
    const client = await beside.cluster.client();
    await client.call("FLUSHALL");
    const hash = builtinPartition("crc32", 3);
    for (let key = 0; key < 60; key++) await client.call(`SET key${key} ${key}`);
    for (const [partition, server] of beside.cluster.servers.entries()) {
      const link = await server.link();
      await link.call("SELECT", partition);
      const keys = (await link.call("KEYS", "*")) as string[];
      expect(keys.every((key) => hash(Buffer.from(key)) === partition)).toBe(true);
      expect(keys.length).toBeGreaterThan(0);
    }
    expect(await client.call("DBSIZE")).toBe(":60\r\n");
  });

  test("SCAN shows every key of every partition once, and DBSIZE, KEYS and RANDOMKEY agree", async () => {
    const client = await beside.cluster.client();
    await client.call("FLUSHALL");
    const names = Array.from({ length: 500 }, (_, index) => `k${index}`);
    await client.callArgs(["MSET", ...names.flatMap((name) => [name, "1"])]);
    const seen: string[] = [];
    let cursor = "0";
    do {
      const reply = await client.call(`SCAN ${cursor} COUNT 50`);
      const lines = reply.split("\r\n");
      cursor = lines[2] ?? "0";
      seen.push(...lines.filter((line) => /^k\d+$/.test(line)));
    } while (cursor !== "0");
    expect(seen.sort()).toEqual([...names].sort());
    expect((await client.call("KEYS k1*")).split("\r\n").length).toBeGreaterThan(100);
    expect(await client.call("RANDOMKEY")).toMatch(/^\$\d\r\nk\d+\r\n$/);
  });

  test("a cursor of a master that is gone starts its partition again and leaves no key out", async () => {
    const client = await beside.cluster.client();
    await client.call("FLUSHALL");
    const names = Array.from({ length: 300 }, (_, index) => `k${index}`);
    await client.callArgs(["MSET", ...names.flatMap((name) => [name, "1"])]);
    const seen = new Set<string>();
    let cursor = "0";
    let steps = 0;
    const nodes = beside.cluster.servers.map(({ port }, partition) => ({ port, partition }));
    do {
      // The same server promoted anew counts as another master.
      if (++steps === 2)
        beside.cluster.view.show(
          nodes,
          beside.cluster.servers.map(({ port }) => port),
        );
      const lines = (await client.call(`SCAN ${cursor} COUNT 20`)).split("\r\n");
      cursor = lines[2] ?? "0";
      for (const line of lines) if (/^k\d+$/.test(line)) seen.add(line);
    } while (cursor !== "0");
    expect(seen.size).toBe(300);
  });

  test("commands that can't be routed are refused by name and the connection goes on", async () => {
    const client = await beside.cluster.client();
    expect(await client.call("MONITOR")).toMatch(/^-ERR twine: 'monitor' is not supported: /);
    expect(await client.call("CLIENT TRACKING ON")).toMatch(
      /^-ERR twine: 'client tracking' is not/,
    );
    expect(await client.call("NONSENSE a")).toMatch(/^-ERR unknown command 'NONSENSE'/);
    expect(await client.call("RENAME a b")).toMatch(/^-CROSSSLOT .*hash-tag/);
    expect(await client.call("RENAME {t}a {t}b")).toBe("-ERR no such key\r\n");
    expect(await client.call("SELECT 1")).toMatch(/^-ERR twine: 'select 1'/);
    expect(await client.call("EVAL return(1) 0")).toBe(":1\r\n");
    expect(await client.callArgs(["EVAL", "return redis.call('set','x','1')", "0"])).toMatch(
      /^-ERR twine: a script or function that names no key/,
    );
    expect(await client.callArgs(["EVAL", "return KEYS[1]", "1", "a"])).toBe("$1\r\na\r\n");
    expect(await client.call("PING")).toBe("+PONG\r\n");
  });

  test("broken bytes get an error after the replies that are owed, and then the end", async () => {
    const client = await beside.cluster.client();
    client.send("SET a 1\r\nGET a\r\n*1\r\n!bad\r\n");
    expect(await client.reply()).toBe("+OK\r\n");
    expect(await client.reply()).toBe("$1\r\n1\r\n");
    expect(await client.reply()).toBe("-ERR Protocol error: expected '$', got '!'\r\n");
    expect(await client.reply()).toBe("closed");
  });

  test("a client that closes its side at once still gets every reply", async () => {
    const client = await beside.cluster.client();
    client.socket.end("PING\r\n".repeat(3000) + "SET a 1\r\n");
    for (let count = 0; count < 3000; count++) expect(await client.reply()).toBe("+PONG\r\n");
    expect(await client.reply()).toBe("+OK\r\n");
    expect(await client.reply()).toBe("closed");
  });

  test("redis-benchmark runs to its end", async () => {
    const args = [
      "-p",
      String(beside.cluster.port),
      "-t",
      "set,get,mset",
      "-n",
      "10000",
      "-q",
      "-P",
      "8",
    ];
    const output = await run("redis-benchmark", [...args, "-r", "1000"]);
    expect(output).toMatch(/SET: [\d.]+ requests per second/);
    expect(output).toMatch(/MSET \(10 keys\): [\d.]+ requests per second/);
    expect(output).not.toMatch(/error/i);
  });

  test("redis-cli speaks RESP2 and RESP3 to it", async () => {
    const cli = (...args: string[]): Promise<string> =>
      run("redis-cli", ["-p", String(beside.cluster.port), ...args]);
    expect(await cli("set", "foo", "bar")).toBe("OK\n");
    expect(await cli("--json", "get", "foo")).toBe('"bar"\n');
    expect(await cli("-3", "hset", "h", "a", "1")).toMatch(/1/);
    expect(await cli("--json", "hgetall", "h")).toBe('{"a":"1"}\n');
    expect(await cli("-3", "info", "replication")).toMatch(/role:master/);
  });
});

function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${program}: ${stderr}`, { cause: error }));
    });
  });
}

/** Keys share the tag {t} where a command needs several in one partition. */
function randomCommand(seeded: SeededRandom): string[] {
  const any = (): string => `k${seeded.below(25)}`;
  const tagged = (): string => `{t}${seeded.below(8)}`;
  const value = (): string => String(seeded.below(1000));
  const choices: readonly (() => string[])[] = [
    () => ["SET", any(), value()],
    () => ["GET", any()],
    () => ["INCR", any()],
    () => ["APPEND", any(), value()],
    () => ["MGET", any(), any(), any(), any()],
    () => ["MSET", any(), value(), any(), value(), any(), value()],
    () => ["DEL", any(), any(), any()],
    () => ["EXISTS", any(), any(), any()],
    () => ["TOUCH", any(), any()],
    () => ["UNLINK", any()],
    () => ["LPUSH", any(), value(), value()],
    () => ["LRANGE", any(), "0", "-1"],
    () => ["SADD", any(), value()],
    () => ["SMEMBERS", any()],
    () => ["HSET", any(), "f", value()],
    () => ["HGETALL", any()],
    () => ["ZADD", any(), value(), "m"],
    () => ["ZRANGE", any(), "0", "-1", "WITHSCORES"],
    () => ["RENAME", tagged(), tagged()],
    () => ["SUNION", tagged(), tagged()],
    () => ["SET", tagged(), value()],
    () => ["EVAL", "return redis.call('GET', KEYS[1])", "1", tagged()],
    () => ["ZUNION", "2", tagged(), tagged()],
    () => ["TYPE", any()],
    () => ["DBSIZE"],
    () => ["KEYS", "k1*"],
    () => ["GET"],
    () => ["SET", any(), value(), "NONSENSE"],
    () => ["SINTERCARD", "nonsense", any()],
    () => ["NOSUCHCOMMAND", any()],
    () => ["OBJECT", "ENCODING", any()],
    () => ["PING", value()],
    () => ["ECHO", value()],
    () => ["SCAN", "nonsense"],
  ];
  return seeded.pick(choices)();
}
