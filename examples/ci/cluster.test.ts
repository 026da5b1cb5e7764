// cluster.test.ts: a test with a whole cluster of its own. Copy it beside your tests: vitest starts the cluster, and nothing
// of it is left however the tests end. Redis must be installed; Docker is not needed.
import { Redis } from "ioredis";
import { startCluster, type RunningCluster } from "twine-redis/env";
import { afterAll, beforeAll, expect, test } from "vitest";

let cluster: RunningCluster;
let redis: Redis;

beforeAll(async () => {
  cluster = await startCluster({ conf: "twine.conf" });
  redis = new Redis({ ...cluster.routers[0] });
}, 120_000);

afterAll(async () => {
  redis.disconnect();
  await cluster.stop();
}, 60_000);

test("keys of every partition are there", async () => {
  const keys = Array.from({ length: 100 }, (_, number) => `key:${number}`);
  await Promise.all(keys.map((key) => redis.set(key, key)));
  expect(await redis.mget(...keys)).toEqual(keys);
});

test("another test file's cluster has other addresses and the same ports", () => {
  expect(cluster.routerUrls[0]).toMatch(/^redis:\/\/127\./);
});
