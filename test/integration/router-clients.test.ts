// router-clients.test.ts: ioredis, unmodified, on a router over three redis-servers.
import { Redis } from "ioredis";
import { beforeAll, describe, expect, test } from "vitest";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

let cluster: RouterCluster;

describe.skipIf(isMissing("redis-server"))("ioredis", () => {
  const cleanUp = cleanUpAfterAll();
  beforeAll(async () => {
    cluster = await startRouterCluster({ cleanUp });
  });

  for (const protocol of [2, 3] as const) {
    test(`connects by its own handshake and works in RESP${protocol}`, async () => {
      const redis = new Redis({ port: cluster.port, protocol, connectionName: "test" });
      await redis.flushall();
      expect(await redis.mset("a", "1", "b", "2", "c", "3")).toBe("OK");
      expect(await redis.mget("a", "b", "none", "c")).toEqual(["1", "2", null, "3"]);
      await redis.hset("h", { x: "1", y: "2" });
      expect(await redis.hgetall("h")).toEqual({ x: "1", y: "2" });
      expect(await redis.client("GETNAME")).toBe("test");
      expect(await redis.dbsize()).toBe(4);
      await expect(redis.call("NOSUCH")).rejects.toThrow(/unknown command 'NOSUCH'/);
      expect(await redis.del("a", "b", "c", "h")).toBe(4);
      redis.disconnect();
    });
  }

  test("pipelines, streams of SCAN and scripts of its own work on all partitions", async () => {
    const redis = new Redis({ port: cluster.port });
    const pipeline = redis.pipeline();
    for (let key = 0; key < 500; key++) pipeline.set(`p${key}`, key);
    expect(
      (await pipeline.exec())?.every(([error, reply]) => error === null && reply === "OK"),
    ).toBe(true);
    const seen = new Set<string>();
    for await (const keys of redis.scanStream({ match: "p*", count: 50 })) {
      for (const key of keys as string[]) seen.add(key);
    }
    expect(seen.size).toBe(500);
    // ioredis tries EVALSHA first and EVAL when a partition doesn't know the script yet.
    redis.defineCommand("twice", { numberOfKeys: 1, lua: "return redis.call('GET',KEYS[1]) * 2" });
    const twice = (redis as unknown as { twice(key: string): Promise<number> }).twice.bind(redis);
    expect(await Promise.all([twice("p1"), twice("p2"), twice("p3")])).toEqual([2, 4, 6]);
    redis.disconnect();
  });

  test("a client sees nothing of a master that moves but a pause", async () => {
    const redis = new Redis({ port: cluster.port });
    const nodes = cluster.servers.map(({ port }, partition) => ({ port, partition }));
    const masters = nodes.map(({ port }) => port);
    await redis.set("counter", 0);
    const end = new AbortController();
    let acknowledged = 0;
    const writer = (async () => {
      while (!end.signal.aborted) {
        await redis.incr("counter");
        acknowledged++;
      }
    })();
    for (let round = 0; round < 5; round++) {
      const before = acknowledged;
      cluster.view.show(nodes, [null, null, null]);
      cluster.view.show(nodes, masters);
      await until("the writer goes on", () => acknowledged > before + 10);
    }
    end.abort();
    await writer;
    expect(Number(await redis.get("counter"))).toBe(acknowledged);
    redis.disconnect();
  });
});
