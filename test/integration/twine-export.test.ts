// twine-export: a cluster of Twine's into a Redis Cluster of three masters while clients write every type of key, and into
// one Redis; what it refuses; a target that dies.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { clusterConf, byLetter } from "../support/cluster-conf.ts";
import { startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { callOnce, startRedisCluster } from "../support/redis-cluster.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const AT_ONCE = "repl-diskless-sync-delay 0";

async function started(): Promise<FaultCluster> {
  const shape = { partitions: 2, nodesPerPartition: 2, routers: 1, nameOf: byLetter };
  return startedCluster(clusterConf({ ...shape, lines: ["partitions 2", "cluster leaving"] }));
}

/** Until its signal: every type of key, again and again, through the router. */
async function writeOn(port: number, signal: AbortSignal): Promise<number> {
  const redis = new Redis({ port, maxRetriesPerRequest: null });
  redis.on("error", () => undefined);
  let at = 0;
  for (; !signal.aborted; at++) {
    const key = at % 100;
    await Promise.all([
      redis.set(`text:${key}`, at),
      redis.incr(`count:${key % 7}`),
      redis.rpush(`list:${key}`, at),
      redis.hset(`hash:${key}`, `f${at % 9}`, at),
      redis.zadd(`zset:${key}`, at, `m${at % 11}`),
      redis.sadd(`set:${key}`, at % 13),
      redis.xadd(`stream:${key % 5}`, "*", "at", at),
      redis.set(`soon:${key}`, at, "EX", 1000),
      redis.del(`text:${(key + 50) % 100}`),
      redis.eval("redis.call('SET', KEYS[1], ARGV[1]) return 1", 1, `eval:${key}`, at),
      redis.mset({ [`{tag${key}}a`]: at, [`{tag${key}}b`]: at }),
    ]);
  }
  redis.disconnect();
  return at;
}

/** A twine-export that has copied everything, and follows. */
async function followed(file: string, url: string) {
  const args = [binPath("twine-export", "runtime"), url, "--conf", file];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const ended = once(child, "close").then(([code]: unknown[]) => ({ code, out, err }));
  await until(
    "it follows",
    () => err.includes("the target has all keys and follows") || child.exitCode !== null,
    90_000,
  );
  return { ended, interrupt: () => child.kill("SIGINT") };
}

describe.skipIf(isMissing("redis-server"))("twine-export", () => {
  test("into a Redis Cluster while clients write: it follows, compares, and ends with every write", async () => {
    const cluster = await started();
    const masters = await startRedisCluster();
    const url = `cluster://127.0.0.1:${masters[1]?.port ?? 0}`;
    const { file } = cluster.config;
    const ended = new AbortController();
    const writing = writeOn(cluster.port("r1"), ended.signal);

    const live = await followed(file, url);
    ended.abort();
    expect(await writing).toBeGreaterThan(0);
    live.interrupt();
    const { code, out, err } = await live.ended;
    // Keys that are written all the time may have differed in each look.
    expect([code, err], out + err).toEqual([expect.toBeOneOf([0, 10]), expect.any(String)]);
    expect(out).toMatch(/has all data: \d+ keys were copied/);

    const same = await runTool("runtime", "twine-verify", file, url);
    expect([same.out, same.code], same.err).toEqual([
      expect.stringMatching(/^the same: \d+ keys, compared/),
      0,
    ]);
    // Every slot is on its own master: a client of Redis Cluster finds all.
    const sizes = await Promise.all(masters.map((master) => callOnce(master, "DBSIZE")));
    expect(sizes.every((size) => Number(size) > 50)).toBe(true);

    const single = await runTool(
      "runtime",
      "twine-export",
      file,
      url.replace("cluster:", "redis:"),
    );
    expect(single.err).toMatch(/is a node of a Redis Cluster[^]*write cluster:/);
    const again = await runTool("runtime", "twine-export", file, url);
    expect([again.code, again.err]).toEqual([
      1,
      expect.stringMatching(/holds keys already[^]*FLUSHALL/),
    ]);
  }, 240_000);

  test("once into one Redis; what is no target is refused; a target that dies is told with what to do", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const redis = new Redis({ port: cluster.port("r1") });
    for (let at = 0; at < 300; at++) await redis.set(`key:${at}`, at);
    redis.disconnect();
    const target = await startRedis([AT_ONCE]);
    const url = `redis://127.0.0.1:${target.port}`;
    const ran = await runTool("runtime", "twine-export", file, url, "--once", "--json");
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(JSON.parse(ran.out)).toMatchObject({ ok: true, keys: 300, verified: { isSame: true } });
    expect(Number(await callOnce(target, "DBSIZE"))).toBe(300);

    const run = (...args: string[]) => runTool("runtime", "twine-export", file, ...args);
    const wrong = await run("redis://127.0.0.1:1,127.0.0.1:2");
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("one target is needed")]);
    const dead = await run("redis://127.0.0.1:1");
    expect([dead.code, dead.err]).toEqual([1, expect.stringMatching(/127\.0\.0\.1:1[^]*remedy:/)]);
    await callOnce(target, "FLUSHALL");
    const live = await followed(file, url);
    await target.kill();
    const broken = await live.ended;
    expect([broken.code, broken.err]).toEqual([1, expect.stringMatching(/went away[^]*FLUSHALL/)]);

    await target.start();
    await callOnce(target, "REPLICAOF", "127.0.0.1", "1");
    const replica = await run(url);
    expect([replica.code, replica.err]).toEqual([1, expect.stringContaining("is a replica")]);
  }, 180_000);
});
