// router-own-failover.test.ts: transactions, queues and subscriptions through a router of a whole cluster of real
// processes, whose masters are killed, paused and handed over while its own monitors look after it.
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { TWO_PARTITIONS } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

let cluster: FaultCluster;

function clientOf(): Redis {
  const redis = new Redis({ host: "127.0.0.1", port: cluster.port("r1") });
  redis.on("error", () => undefined);
  onTestFinished(() => {
    redis.disconnect();
  });
  return redis;
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : "");

describe.skipIf(isMissing("redis-server"))("a router's own connections over a failover", () => {
  beforeAll(async () => {
    const settings = "cluster own\nack-replicas 1\nhash-tag {}\n";
    cluster = await FaultCluster.create(`${TWO_PARTITIONS}${settings}`);
    await cluster.start();
  });

  afterAll(async () => {
    await cluster.remove();
  });

  test("counters that are raised by WATCH stay exact when their masters are killed", async () => {
    const state = { isOver: false };
    const keys = ["one", "two", "three", "four"];
    const counts = keys.map(() => ({ acknowledged: 0, uncertain: 0, nils: 0 }));
    const strange: string[] = [];
    const raise = async (index: number): Promise<void> => {
      const redis = clientOf();
      const [key = "", count] = [keys[index], counts[index]];
      while (!state.isOver && count !== undefined) {
        try {
          await redis.watch(key);
          const seen = Number((await redis.get(key)) ?? 0);
          const replies = await redis
            .multi()
            .set(key, seen + 1)
            .exec();
          if (replies === null) count.nils++;
          else count.acknowledged++;
        } catch (error) {
          const text = textOf(error);
          if (/^(UNCERTAIN|UNDERREPLICATED) /.test(text)) count.uncertain++;
          else strange.push(text);
        }
      }
    };
    const raisers = [0, 1, 2, 3, 0, 1, 2, 3].map(raise);
    for (const partition of [0, 1]) {
      const before = counts.map(({ acknowledged }) => acknowledged);
      const isMoving = (): boolean =>
        counts.every(({ acknowledged }, index) => acknowledged > (before[index] ?? 0) + 20);
      await until("every counter rises", isMoving);
      const { master } = await cluster.partition(partition);
      await cluster.kill(master ?? "");
      await cluster.viewWhere("another master", (view) => {
        const now = view.partitions.find(({ index }) => index === partition)?.master;
        return now !== null && now !== undefined && now !== master;
      });
      before.splice(0, before.length, ...counts.map(({ acknowledged }) => acknowledged));
      await until("every counter rises again", isMoving);
      await cluster.heal();
      await cluster.viewWhere("OK", (view) => view.state === "OK");
    }
    state.isOver = true;
    await Promise.all(raisers);
    const reader = clientOf();
    for (const [index, key] of keys.entries()) {
      const { acknowledged = 0, uncertain = 0 } = counts[index] ?? {};
      const value = Number(await reader.get(key));
      expect(value).toBeGreaterThanOrEqual(acknowledged);
      expect(value).toBeLessThanOrEqual(acknowledged + uncertain);
    }
    expect(strange).toEqual([]);
  });

  test("a queue's items are taken once each, by consumers that see no error, while its master is killed", async () => {
    const state = { isOver: false };
    const taken: string[] = [];
    const pushed = new Set<string>();
    const errors: string[] = [];
    const consumers = Array.from({ length: 5 }, async () => {
      const redis = clientOf();
      while (!state.isOver) {
        // Those who wait while the master dies go on waiting at the new one.
        const [, item] = (await redis.blpop("{q}jobs", 1).catch((error: unknown) => {
          errors.push(textOf(error));
          return null;
        })) ?? [null, null];
        if (item !== null) taken.push(item);
      }
    });
    const producer = clientOf();
    const produce = (async () => {
      for (let number = 0; !state.isOver; number++) {
        const isDone = await producer.rpush("{q}jobs", `item${number}`).then(
          () => true,
          () => false,
        );
        if (isDone) pushed.add(`item${number}`);
      }
    })();
    await until("items flow", () => taken.length > 100);
    const place = builtinPartition("crc32", 2, "{}")(Buffer.from("{q}jobs"));
    const { master } = await cluster.partition(place);
    await cluster.kill(master ?? "");
    const before = taken.length;
    await until("items flow again", () => taken.length > before + 100);
    state.isOver = true;
    await produce;
    await Promise.all(consumers);
    const left = new Set(await producer.lrange("{q}jobs", 0, -1));
    expect(new Set(taken).size).toBe(taken.length);
    // What was popped for a consumer whose reply died with the master is nobody's: one each at most.
    const lost = [...pushed].filter((item) => !taken.includes(item) && !left.has(item));
    expect(lost.length).toBeLessThanOrEqual(5);
    expect(errors.filter((text) => !text.startsWith("UNDERREPLICATED"))).toEqual([]);
    await cluster.heal();
    await cluster.viewWhere("OK", ({ state: now }) => now === "OK");
  });

  test("a handover shows no error to transactions, consumers and subscribers", async () => {
    const [watcher, consumer, subscriber, other] = [clientOf(), clientOf(), clientOf(), clientOf()];
    const got: string[] = [];
    subscriber.on("pmessage", (_, channel: string, message: string) => {
      got.push(`${channel} ${message}`);
    });
    await subscriber.psubscribe("news:*");
    const popped = consumer.blpop("{q}other", 0);
    const state = { isOver: false, count: 0 };
    const transactions = (async () => {
      while (!state.isOver) {
        const replies = await watcher.multi().incr("{h}n").incr("{h}n").exec();
        expect(replies?.map(([error]) => error)).toEqual([null, null]);
        state.count++;
      }
    })();
    await until("transactions run", () => state.count > 20);
    for (const partition of [0, 1]) {
      const { master, replicas } = await cluster.partition(partition);
      const file = cluster.config.file;
      const ran = await runTool("runtime", "twine-failover", file, replicas[0] ?? "");
      expect(ran.err).toBe("");
      await cluster.viewWhere("handed over", (view) => {
        const now = view.partitions.find(({ index }) => index === partition);
        return now?.master !== master && now?.master !== null && view.state === "OK";
      });
    }
    const before = state.count;
    // One that failed is told at once, and not as a wait in vain.
    const goesOn = until("transactions still run", () => state.count > before + 20);
    await Promise.race([goesOn, transactions]);
    state.isOver = true;
    await transactions;
    expect(Number(await other.get("{h}n"))).toBe(state.count * 2);
    await until("messages come", async () => {
      for (let channel = 0; channel < 8; channel++) await other.publish(`news:${channel}`, "x");
      return new Set(got).size === 8;
    });
    await other.rpush("{q}other", "y");
    expect(await popped).toEqual(["{q}other", "y"]);
  });
});
