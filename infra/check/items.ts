// items.ts: the thousand items of a check, written and read through the router as any client would.
// ioredis without its greeting: twemproxy closes the connection at commands that it does not know.
import { Redis } from "ioredis";
import { setTimeout as delay } from "node:timers/promises";
import { passwordsOf, type Secret } from "../../runtime/core/credentials.ts";
import { addressOf, type ClusterConfig, type RouterNode } from "../../runtime/core/cluster.ts";

export const ITEM_COUNT = 1000;
const PREFIX = "twine-check:";
const BATCH = 100;
const ANSWER_WITHIN_MS = 15_000;

export function itemKey(index: number): string {
  return `${PREFIX}${index}`;
}

function itemValue(index: number): string {
  return `value ${index}`;
}

export function openRouter(
  config: ClusterConfig,
  { host, port }: RouterNode,
  password: Secret | undefined,
): Redis {
  const [first] = passwordsOf(password);
  const isTwemproxy = config.settings.router === "twemproxy";
  const redis = new Redis({
    ...{ host: addressOf(host), port, protocol: 2, lazyConnect: true },
    ...{ disableClientInfo: true, enableReadyCheck: false, enableOfflineQueue: true },
    ...{ maxRetriesPerRequest: 0, retryStrategy: () => null, connectTimeout: ANSWER_WITHIN_MS },
    commandTimeout: ANSWER_WITHIN_MS,
    ...(first === undefined
      ? {}
      : { password: first, ...(isTwemproxy ? {} : { username: "app" }) }),
  });
  redis.on("error", () => undefined);
  return redis;
}

export async function loadItems(redis: Redis): Promise<void> {
  await inBatches((index) => redis.set(itemKey(index), itemValue(index)));
}

/** How many are there with the right value. A refused or broken connection counts as none of that batch. */
export async function countItems(redis: Redis): Promise<number> {
  let count = 0;
  await inBatches(async (index) => {
    const value = await redis.get(itemKey(index)).catch(() => null);
    if (value === itemValue(index)) count++;
  });
  return count;
}

export async function removeItems(redis: Redis): Promise<void> {
  await inBatches((index) => redis.del(itemKey(index)));
}

async function inBatches(one: (index: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < ITEM_COUNT; from += BATCH) {
    await Promise.all(Array.from({ length: BATCH }, (_, index) => one(from + index + 1)));
  }
}

/** Writes each of these items until it is taken, on a new connection each time; the milliseconds until all are. */
export async function untilWritable(
  open: () => Redis,
  items: readonly number[],
  withinMs: number,
): Promise<number | undefined> {
  const startMs = performance.now();
  for (const item of items) {
    for (;;) {
      if (performance.now() - startMs > withinMs) return undefined;
      const redis = open();
      const reply = await redis.set(itemKey(item), itemValue(item)).catch(() => undefined);
      redis.disconnect();
      if (reply === "OK") break;
      await delay(5);
    }
  }
  return performance.now() - startMs;
}
