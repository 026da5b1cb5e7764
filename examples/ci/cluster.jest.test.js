// cluster.jest.test.js: a test with a whole cluster of its own, in jest. Nothing of it is left however the tests end. Redis must be
// installed; Docker is not needed. twine-redis is an ES module, which jest runs with this flag:
//   NODE_OPTIONS=--experimental-vm-modules npx jest
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { startCluster } from "twine-redis/env";

let cluster;
let redis;

beforeAll(async () => {
  cluster = await startCluster({ conf: "twine.conf" });
  redis = new Redis({ ...cluster.routers[0] });
}, 120_000);

afterAll(async () => {
  redis?.disconnect();
  await cluster?.stop();
}, 60_000);

test("keys of every partition are there", async () => {
  const keys = Array.from({ length: 100 }, (_, number) => `key:${number}`);
  await Promise.all(keys.map((key) => redis.set(key, key)));
  expect(await redis.mget(...keys)).toEqual(keys);
});
