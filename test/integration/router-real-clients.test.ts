// router-real-clients.test.ts: clients as people install them, on a router over three redis-servers and on one redis-server:
// what each program sees must be the same. Protocols are the clients' own defaults where nothing else is said.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { createClient } from "@redis/client";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { pythonWithRedis } from "../support/redis-py.ts";
import { routerBesideRedis } from "../support/router-beside-redis.ts";
import { ROOT } from "../support/source-files.ts";

const python = pythonWithRedis();
const LIBRARY =
  "#!lua name=lib\nredis.register_function('put', function(k, a) " +
  "return redis.call('SET', k[1], a[1]) end)";
/** What is slow on a busy machine is no difference. */
const QUIET = ["slowlog-log-slower-than -1"];

/** A program's results, in its own words. */
type Program = (port: number) => Promise<unknown>;

describe.skipIf(isMissing("redis-server", "redis-cli", "redis-benchmark"))("a router", () => {
  const beside = routerBesideRedis({ redis: QUIET });
  /** The router's results are one redis-server's. */
  const compare = async (program: Program): Promise<void> => {
    const { cluster, plain } = beside;
    const [ours, theirs] = [await program(cluster.port), await program(plain.port)];
    expect(ours).toEqual(theirs);
  };

  test.skipIf(python === undefined)(
    "is one Redis to redis-py, in its default protocol",
    async () => {
      await compare((port) => pythonResults(port));
    },
  );

  test.skipIf(python === undefined)("is one Redis to redis-py in RESP2", async () => {
    await compare((port) => pythonResults(port, "2"));
  });

  test("is one Redis to node-redis, in its default protocol", async () => {
    await compare((port) => nodeRedisResults(createClient({ socket: { port }, name: "test" })));
  });

  test("is one Redis to node-redis in RESP2", async () => {
    await compare((port) =>
      nodeRedisResults(createClient({ socket: { port }, name: "test", RESP: 2 })),
    );
  });

  test("is one Redis to ioredis, in its default protocol", async () => {
    await compare((port) => ioredisResults(new Redis({ port, connectionName: "test" })));
  });

  test("is one Redis to ioredis in RESP2", async () => {
    await compare((port) =>
      ioredisResults(new Redis({ port, connectionName: "test", protocol: 2 })),
    );
  });

  for (const options of [["-2"], ["-3"], ["--json"], ["--csv"], ["--no-raw"]]) {
    test(`is one Redis to redis-cli ${options.join(" ")}`, async () => {
      await compare((port) => cliResults(port, options));
    });
  }

  test("is one Redis to redis-cli's --scan, --pipe, --bigkeys and -x", async () => {
    await compare(async (port) => {
      const cli = (args: readonly string[], input = "") =>
        run("redis-cli", ["-p", String(port), ...args], input);
      await cli(["FLUSHALL"]);
      const sets = Array.from({ length: 300 }, (_, index) => `SET key:${index} ${index}\r\n`);
      const piped = await cli(["--pipe"], sets.join(""));
      const scanned = await cli(["--scan", "--pattern", "key:1*"]);
      const big = await cli(["--bigkeys"]);
      return {
        piped: /errors: 0, replies: 300/.test(piped),
        scanned: scanned.split("\n").sort(),
        big: /Sampled (\d+) keys in the keyspace/.exec(big)?.[1],
        size: await cli(["DBSIZE"]),
        input: [await cli(["-x", "SET", "from-input"], "text"), await cli(["GET", "from-input"])],
      };
    });
  });

  test("lets redis-benchmark run all its tests to the end without an error", async () => {
    const args = [
      "-p",
      String(beside.cluster.port),
      "-n",
      "2000",
      "-c",
      "20",
      "-P",
      "4",
      "-r",
      "500",
      "-q",
    ];
    for (const protocol of [[], ["-3"]]) {
      const output = await run("redis-benchmark", [...args, ...protocol]);
      for (const name of [
        "PING_INLINE",
        "SET",
        "LRANGE_600 (first 600 elements)",
        "MSET (10 keys)",
      ]) {
        expect(output).toContain(`${name}: `);
      }
      expect(output).not.toMatch(/error/i);
    }
  });
});

async function pythonResults(port: number, protocol?: string): Promise<unknown> {
  const script = join(ROOT, "test/cases/router-client.py");
  const args = [script, String(port), ...(protocol === undefined ? [] : [protocol])];
  return JSON.parse(await run(python ?? "", args)) as unknown;
}

async function nodeRedisResults(given: unknown): Promise<unknown> {
  // The type of a client in RESP2 is another one; what is asked of it here is the same.
  const client = given as ReturnType<typeof createClient>;
  client.on("error", () => undefined);
  await client.connect();
  onTestFinished(() => {
    client.destroy();
  });
  await client.flushAll();
  const numbers = Array.from({ length: 300 }, (_, index) => index);
  const results: unknown[] = [
    await client.ping(),
    await client.set("a", "1", { expiration: { type: "EX", value: 1000 } }),
    await client.mSet({ b: "2", c: "3", d: "4" }),
    await client.mGet(["d", "none", "a", "b", "c"]),
    await client.exists(["a", "b", "none"]),
    await client.hSet("h", { x: "1", y: "2" }),
    { ...(await client.hGetAll("h")) },
    await client.zAdd("z", [
      { score: 1, value: "a" },
      { score: 2.5, value: "b" },
    ]),
    await client.zRangeWithScores("z", 0, -1),
    await client.xAdd("st", "1-1", { f: "v" }),
    JSON.stringify(await client.xRead({ key: "st", id: "0" })),
    // One turn's commands are one pipeline.
    await Promise.all(numbers.map((number) => client.set(`k${number}`, number))),
    await client.dbSize(),
    (await client.keys("k1*")).sort(),
  ];
  const scanned: string[] = [];
  for await (const keys of client.scanIterator({ MATCH: "k*", COUNT: 50 })) scanned.push(...keys);
  results.push(scanned.sort());
  await client.functionLoad(LIBRARY, { REPLACE: true });
  results.push(
    await client.fCall("put", { keys: ["fn"], arguments: ["x"] }),
    await client.functionFlush(),
    await client.eval("return redis.call('GET', KEYS[1])", { keys: ["k7"] }),
    await client.scriptLoad("return KEYS[1]"),
    await client.multi().set("{t}a", 1).incr("{t}a").get("{t}a").exec(),
    await client.multi().get("k1").get("k2").incr("a").execAsPipeline(),
    await client.clientGetName(),
    (await client.clientInfo()).name,
    (await client.clientList()).some(({ name }) => name === "test"),
    { ...(await client.configGet("maxmemory")) },
    /role:master/.test(await client.info("replication")),
    (await client.role())?.role,
    await client.aclWhoAmI(),
    (await client.commandInfo(["get", "mset"])).map((one) => one?.name),
    await client.del(["a", "b", "none"]),
    await client.sendCommand(["NOSUCH"]).catch(String),
    await client.sendCommand(["LPOP", "h"]).catch(String),
    await client.flushDb(),
  );
  return results;
}

async function ioredisResults(redis: Redis): Promise<unknown> {
  onTestFinished(() => {
    redis.disconnect();
  });
  await redis.flushall();
  const numbers = Array.from({ length: 300 }, (_, index) => index);
  const pipeline = redis.pipeline();
  for (const number of numbers) pipeline.set(`k${number}`, number);
  pipeline.lpush("k1", "wrong").mget("k1", "none", "k2").hset("h", { x: "1", y: "2" });
  const results: unknown[] = [
    (await pipeline.exec())?.map(([error, reply]) => [error?.message, reply]),
    await redis.mset("a", "1", "b", "2", "c", "3"),
    await redis.mgetBuffer("a", "none", "c"),
    await redis.hgetall("h"),
    await redis.zadd("z", 1, "a", 2.5, "b"),
    await redis.zrange("z", "0", "-1", "WITHSCORES"),
    await redis.xadd("st", "1-1", "f", "v"),
    await redis.xread("STREAMS", "st", "0"),
    await redis.eval("return {KEYS[1], ARGV[1]}", 1, "k1", "x"),
    await redis.multi().set("{t}a", 1).incr("{t}a").exec(),
    await redis.client("GETNAME"),
    await redis.config("GET", "maxmemory"),
    await redis.dbsize(),
    await redis.exists("a", "b", "none"),
    (await redis.info("keyspace")).includes("keys="),
    await redis.del("a", "b", "c", "h"),
    await redis.call("NOSUCH").catch(String),
  ];
  const seen = new Set<string>();
  for await (const keys of redis.scanStream({ match: "k*", count: 50 })) {
    for (const key of keys as string[]) seen.add(key);
  }
  results.push([...seen].sort(), await redis.function("FLUSH"), await redis.flushdb());
  return results;
}

async function cliResults(port: number, options: readonly string[]): Promise<unknown> {
  const lines = [
    "FLUSHALL",
    "MSET a 1 b 2 c 3",
    "MGET a none c",
    "HSET h f v",
    "HGETALL h",
    'SET "a b" "c\\nd"',
    "GET 'a b'",
    "ZADD z 1.5 m",
    "ZRANGE z 0 -1 WITHSCORES",
    "DEL a b none",
    "NOSUCH",
    "GET",
    "LPOP h",
    "DBSIZE",
    "CLIENT GETNAME",
    "COMMAND COUNT",
  ];
  return run("redis-cli", ["-p", String(port), ...options], `${lines.join("\n")}\n`);
}

/** What the program wrote; rejects when it fails. */
function run(program: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: 50_000, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${program}: ${stderr}`, { cause: error }));
    });
    // A program that reads no input may have ended before it is written.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}
