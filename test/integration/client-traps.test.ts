// client-traps.test.ts: what an ioredis client that is an engine could get wrong without an error to show it.
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import { TwineClient } from "../../runtime/client/twine-client.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { clientOf, clusterAndClient, outcomeOf } from "../support/twine-clients.ts";
import { expectOwnMemory } from "../support/pinned-memory.ts";

const partitionOf = builtinPartition("crc32", 2);

function keysOf(partition: number, count: number): string[] {
  const keys: string[] = [];
  for (let number = 0; keys.length < count; number++) {
    if (partitionOf(Buffer.from(`k${number}`)) === partition) keys.push(`k${number}`);
  }
  return keys;
}

describe.skipIf(isMissing("redis-server"))("TwineClient", () => {
  test("while partition 0 has no master, calls on partition 1 go on as before, of every kind", async () => {
    const { client, cluster } = await clusterAndClient({}, { holdForMs: 100_000 });
    const [[zero = "", otherZero = ""], ones] = [keysOf(0, 2), keysOf(1, 400)];
    await client.set(zero, "old");
    await cluster.show([null, 1]);
    await until("the view is seen", () => client.view?.state === "HALT");
    const settled: string[] = [];
    const note = async (name: string, call: Promise<unknown>): Promise<unknown> => {
      const outcome = await outcomeOf(call);
      settled.push(name);
      return outcome;
    };
    const held = [
      note("call", client.set(zero, "new")),
      note("pipeline", client.pipeline().append(zero, "er").exec()),
      note("transaction", client.multi().append(zero, "!").exec()),
      note("blocking", client.blpop(otherZero, 100)),
      note("behind it", client.get(zero)),
    ];
    for (const key of ones) expect(await client.set(key, key)).toBe("OK");
    expect(await Promise.all(ones.map((key) => client.get(key)))).toEqual(ones);
    const [one = ""] = ones;
    for (let count = 0; count < 50; count++) {
      expect(await client.multi().set(one, count).get(one).exec()).toEqual([
        [null, "OK"],
        [null, String(count)],
      ]);
      await client.del(one);
      await client.rpush(one, count);
      expect(await client.blpop(one, 100)).toEqual([one, String(count)]);
      const piped = client.pipeline();
      for (const key of ones.slice(1, 20)) piped.get(key);
      expect(await piped.exec()).toEqual(ones.slice(1, 20).map((key) => [null, key]));
    }
    expect(settled).toEqual([]);
    await cluster.show([1, 1]);
    await until("the master is seen", () => client.view?.state !== "HALT");
    await client.rpush(otherZero, "job");
    expect(await Promise.all(held)).toEqual([
      "OK",
      [[null, 5]],
      [[null, 6]],
      [otherZero, "job"],
      "newer!",
    ]);
  });

  test("3,000 buffers are all right, stay so, and keep no memory but their own", async () => {
    const { client } = await clusterAndClient();
    const values = Array.from({ length: 3000 }, (_, number) => randomBytes(1 + (number % 700)));
    await Promise.all(values.map((value, number) => client.set(`b${number}`, value)));
    const ways = [
      await Promise.all(values.map((_, number) => client.getBuffer(`b${number}`))),
      await client.mgetBuffer(values.map((_, number) => `b${number}`)),
    ];
    const later = values.flatMap((_, number) => [
      client.set(`c${number}`, "x".repeat(700)),
      client.get(`c${number}`),
    ]);
    await Promise.all(later);
    for (const found of ways) {
      const wrong = values.filter((value, number) => found[number]?.equals(value) !== true);
      expect(wrong).toEqual([]);
      expectOwnMemory(found.map((one) => one ?? Buffer.alloc(0)));
    }
  });

  test("a stream that closes fails what was on it as UNCERTAIN, and nothing of it is sent again", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const server = cluster.server(0, 1);
    // WATCH makes a client of one caller send everything by its own stream.
    const one = client.duplicate();
    const ends = ["stream", "client"] as const;
    for (const [round, end] of ends.entries()) {
      await client.set("n", "0");
      await one.watch("other");
      await one.get("n");
      server.signal("SIGSTOP");
      const calls = [one.incr("n"), one.get("n"), one.lpush("list", "1")].map(outcomeOf);
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (end === "stream") one.stream.destroy();
      else one.disconnect();
      expect(await Promise.all(calls)).toEqual(["UNCERTAIN", "CLIENT_CLOSED", "UNCERTAIN"]);
      server.signal("SIGCONT");
      if (end === "stream") await until("it is connected again", () => one.status === "ready");
      else {
        await until("it has ended", () => one.status === "end");
        await one.connect();
      }
      expect(await one.ping()).toBe("PONG");
      expect(Number(await one.get("n"))).toBeLessThanOrEqual(1);
      const stats = await client.info("commandstats");
      expect(Number(/cmdstat_incr:calls=(\d+)/.exec(stats)?.[1] ?? 0)).toBeLessThanOrEqual(
        round + 1,
      );
    }
  });

  test("EXEC that was on its stream is UNCERTAIN when the stream closes", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const one = client.duplicate();
    await one.watch("n");
    await one.multi({ pipeline: false });
    await one.incr("n");
    cluster.server(0, 1).signal("SIGSTOP");
    const done = outcomeOf(one.exec());
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    one.stream.destroy();
    expect(await done).toBe("UNCERTAIN");
    cluster.server(0, 1).signal("SIGCONT");
  });

  test("a WATCH that ended with its stream guards all the same: exec gives null once, then the next attempt is right", async () => {
    const { client } = await clusterAndClient({ partitions: 1 });
    const one = client.duplicate();
    await client.set("n", "1");
    await one.watch("n");
    expect(await one.get("n")).toBe("1");
    one.stream.destroy();
    await client.set("n", "5");
    expect(await one.multi().set("n", "2").exec()).toBeNull();
    expect(await client.get("n")).toBe("5");
    await one.watch("n");
    expect(await one.get("n")).toBe("5");
    expect(await one.multi().set("n", "6").exec()).toEqual([[null, "OK"]]);
    expect(await client.get("n")).toBe("6");
    // Without a WATCH nothing is lost with a stream.
    one.stream.destroy();
    expect(await one.multi().incr("n").exec()).toEqual([[null, 7]]);
  });

  test("behind a transaction that waits for its master, PUBLISH elsewhere and DBSIZE hold up nobody", async () => {
    const { client, cluster } = await clusterAndClient({}, { holdForMs: 100_000 });
    const [[zero = ""], [one = "", channel = ""]] = [keysOf(0, 1), keysOf(1, 2)];
    await cluster.show([null, 1]);
    await until("the view is seen", () => client.view?.state === "HALT");
    const held = client.multi().set(zero, "1").exec();
    const size = client.dbsize();
    expect(await client.publish(channel, "news")).toBe(0);
    expect(await client.set(one, "1")).toBe("OK");
    await cluster.show([1, 1]);
    expect(await held).toEqual([[null, "OK"]]);
    expect(await size).toBe(2);
  });

  test("all that wait for one master fail together after hold-for, not one after the other", async () => {
    const { client, cluster } = await clusterAndClient({}, { holdForMs: 1000 });
    const [[zero = "", otherZero = ""], [one = ""]] = [keysOf(0, 2), keysOf(1, 1)];
    await cluster.show([null, 1]);
    await until("the view is seen", () => client.view?.state === "HALT");
    // One after the other they would need longer than any test may take.
    const transactions = Array.from({ length: 300 }, () =>
      outcomeOf(client.multi().set(zero, "1").exec()),
    );
    const others = [client.get(otherZero), client.dbsize(), client.eval("return 1", 1, zero)];
    const outcomes = await Promise.all([...transactions, ...others.map(outcomeOf)]);
    expect(new Set(outcomes)).toEqual(new Set(["TWINEDOWN"]));
    expect(await client.set(one, "1")).toBe("OK");
    await cluster.show([1, 1]);
    expect(await client.multi().set(zero, "1").exec()).toEqual([[null, "OK"]]);
  });

  test("a read of the outage's partition waits longer than ioredis's own retries would, whatever was asked for", async () => {
    const options = { maxRetriesPerRequest: 1, enableReadyCheck: true, holdForMs: 60_000 };
    const { client, cluster } = await clusterAndClient({ partitions: 1 }, options);
    await client.set("a", "1");
    await cluster.show([null]);
    await until("the view is seen", () => client.view?.state === "HALT");
    const held = outcomeOf(client.get("a"));
    for (let count = 0; count < 5; count++) {
      const reconnected = new Promise((resolve) => client.once("ready", resolve));
      client.stream.destroy();
      await reconnected;
    }
    await cluster.show([1]);
    expect(await held).toBe("1");
  });
});

test("three options are what they must be, whatever was given, on a duplicate too", () => {
  const given = {
    ...{ enableReadyCheck: true, maxRetriesPerRequest: 3, autoResendUnfulfilledCommands: true },
  };
  const client = clientOf({ statusNodes: ["127.0.0.1:1"], lazyConnect: true, ...given });
  const forced = {
    ...{ enableReadyCheck: false, maxRetriesPerRequest: null },
    autoResendUnfulfilledCommands: false,
  };
  expect(client.options).toMatchObject(forced);
  expect(client.duplicate({ ...given, lazyConnect: true }).options).toMatchObject(forced);
});

test("createClient makes a client of the class that it is called on, and checks its options", () => {
  const client = TwineClient.createClient({ statusNodes: ["127.0.0.1:1"], lazyConnect: true });
  expect(client).toBeInstanceOf(TwineClient);
  client.disconnect();
  expect(() => TwineClient.createClient({ host: "localhost" })).toThrow(/option host is refused/);
});
