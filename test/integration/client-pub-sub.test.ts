// client-pub-sub.test.ts: TwineClient's subscriptions: where they lie, what ioredis's events bring, and that they are made
// again at a new master without a word to the program.
import { describe, expect, test } from "vitest";
import type { TwineClient } from "../../runtime/client/twine-client.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import {
  clientOf,
  clusterAndClient,
  outcomeOf,
  untilBlocked,
  untilInSync,
} from "../support/twine-clients.ts";

const CHANNELS = Array.from({ length: 12 }, (_, index) => `ch${index}`);

/** All that the client's events bring, as one line each. */
function heardBy(client: TwineClient): string[] {
  const heard: string[] = [];
  client.on("message", (channel, message) => heard.push(`${channel} ${message}`));
  client.on("pmessage", (pattern, channel, message) => {
    heard.push(`${pattern} ${channel} ${message}`);
  });
  client.on("smessage", (channel, message) => heard.push(`shard ${channel} ${message}`));
  return heard;
}

describe.skipIf(isMissing("redis-server"))("TwineClient listens", () => {
  test("messages of channels in all partitions, patterns and shard channels, as ioredis gives them", async () => {
    const { client } = await clusterAndClient({ partitions: 3 });
    const heard = heardBy(client);
    expect(await client.subscribe(...CHANNELS)).toBe(12);
    expect(await client.psubscribe("ch1*", "other*")).toBe(14);
    expect(await client.ssubscribe("s1", "s2")).toBe(2);
    expect(await client.subscribe("ch0", "ch0")).toBe(14);
    for (const channel of CHANNELS) {
      expect(await client.publish(channel, "ä€")).toBe(/^ch1/.test(channel) ? 2 : 1);
    }
    expect(await client.spublish("s1", "1")).toBe(1);
    expect(await client.publish("nobody", "1")).toBe(0);
    const wanted = [
      ...CHANNELS.map((channel) => `${channel} ä€`),
      ...["ch1", "ch10", "ch11"].map((channel) => `ch1* ${channel} ä€`),
      "shard s1 1",
    ].sort();
    await until("all is heard", () => heard.length >= wanted.length);
    expect(heard.sort()).toEqual(wanted);
    // The same client goes on with everything else.
    expect(await client.set("a", "1")).toBe("OK");
    expect(await client.pubsub("NUMPAT")).toBe(2);
    expect(await client.unsubscribe("ch0", "never")).toBe(13);
    expect(await client.unsubscribe(...CHANNELS)).toBe(2);
    expect(await client.punsubscribe("ch1*")).toBe(1);
    expect(await client.sunsubscribe()).toBe(0);
    expect(await client.publish("ch1", "1")).toBe(0);
    expect(await client.punsubscribe()).toBe(0);
    expect(await client.unsubscribe()).toBe(0);
    expect(String(await outcomeOf(client.call("SUBSCRIBE")))).toMatch(/wrong number of arguments/);
  });

  test("bytes that are no text come whole in the events for buffers", async () => {
    const { client } = await clusterAndClient({ partitions: 2 });
    const [channel, message] = [Buffer.from([0, 255, 10]), Buffer.from([13, 10, 0, 200])];
    const heard = new Promise((resolve) => {
      client.on("messageBuffer", (from, bytes) => {
        resolve([from, bytes]);
      });
    });
    await client.subscribe(channel);
    await client.publish(channel, message);
    expect(await heard).toEqual([channel, message]);
    const patterned = new Promise((resolve) => {
      client.on("pmessageBuffer", (pattern, from, bytes) => {
        resolve([pattern, from, bytes]);
      });
    });
    await client.unsubscribe();
    await client.psubscribe("p*");
    await client.publish("p1", message);
    expect(await patterned).toEqual(["p*", Buffer.from("p1"), message]);
  });

  test("what nodes say of their keys is heard from every partition", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 3 });
    for (const [server] of cluster.servers) {
      await (await server?.link())?.call("CONFIG", "SET", "notify-keyspace-events", "E$");
    }
    const heard: string[] = [];
    client.on("pmessage", (_pattern, _channel, key) => heard.push(key));
    await client.psubscribe("__keyevent@*__:set");
    const keys = Array.from({ length: 9 }, (_, index) => `k${index}`);
    for (const key of keys) await client.set(key, 1);
    await until("every key is told", () => heard.length === 9);
    expect(heard.sort()).toEqual(keys);
  });

  test("at a new master everything is subscribed again, after a kill and after a handover", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 2, nodes: 2 });
    const heard = heardBy(client);
    await client.subscribe(...CHANNELS);
    await client.psubscribe("c*");
    await client.ssubscribe("s1");
    const publisher = clientOf({ conf: cluster.confFile });
    const all = async (word: string): Promise<void> => {
      heard.length = 0;
      const wanted = [...CHANNELS.flatMap((one) => [`${one} ${word}`, `c* ${one} ${word}`])];
      // Who publishes may be told of the master before who listens: what is heard by nobody is published again.
      for (const channel of CHANNELS) {
        await until(`${channel} has two listeners`, async () => {
          const count = await publisher.publish(channel, word);
          return count === 2;
        });
      }
      await until(
        "the shard channel has one",
        async () => (await publisher.spublish("s1", word)) === 1,
      );
      await until("all is heard", () =>
        [...wanted, `shard s1 ${word}`].every((line) => heard.includes(line)),
      );
    };
    await all("first");
    const next = await cluster.server(0, 2).link();
    await cluster.server(0, 1).kill();
    await next.call("REPLICAOF", "NO", "ONE");
    await cluster.show([2, 1]);
    await all("killed");
    const [old, other] = [await cluster.server(1, 1).link(), await cluster.server(1, 2).link()];
    await untilInSync(old);
    await other.call("REPLICAOF", "NO", "ONE");
    await old.call("REPLICAOF", "127.0.0.1", cluster.server(1, 2).port);
    await cluster.show([2, 2]);
    await all("handed over");
    // A replica passes on what its master publishes: nobody must listen there any more.
    await until("nobody listens at the old one", async () => {
      const told = await old.call("PUBSUB", "NUMPAT");
      return told === 0;
    });
  });

  test("a connection that breaks is replaced, whoever broke it", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const heard = heardBy(client);
    await client.subscribe("ch");
    const link = await cluster.server(0, 1).link();
    expect(await link.call("CLIENT", "KILL", "TYPE", "pubsub")).toBe(1);
    await until("it listens again", async () => (await client.publish("ch", "1")) === 1);
    await until("it is heard", () => heard.length > 0);
    expect(heard).toEqual(["ch 1"]);
  });

  test("a subscription waits for a master at most for hold-for; then it is not there", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 2 }, { holdForMs: 500 });
    await cluster.show([1, null]);
    await until("the view is seen", () => client.view?.state === "HALT");
    const outcomes = await Promise.all(
      CHANNELS.map(async (channel) => [channel, await outcomeOf(client.subscribe(channel))]),
    );
    const missed = outcomes.flatMap(([channel, outcome]) =>
      outcome === "TWINEDOWN" ? [channel] : [],
    );
    expect(missed.length).toBeGreaterThan(0);
    expect(missed.length).toBeLessThan(12);
    await cluster.show([1, 1]);
    await until("the master is seen", () => client.view?.state === "OK");
    for (const channel of CHANNELS) {
      expect(await client.publish(channel, "1")).toBe(missed.includes(channel) ? 0 : 1);
    }
    // Whoever asks again is subscribed.
    expect(await client.subscribe(...CHANNELS)).toBe(12);
    await cluster.show([null, null]);
    await until("there is none", () => client.view?.partitions[0]?.master === null);
    const late = client.subscribe("late");
    const gone = client.unsubscribe("late");
    expect([await outcomeOf(late), await gone]).toEqual(["TWINEDOWN", 12]);
  });

  test("nothing of it is left at the nodes after quit, and nothing waits", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 2 });
    await client.subscribe(...CHANNELS);
    await client.psubscribe("c*");
    const waiting = outcomeOf(client.blpop("q", 0));
    expect(await client.quit()).toBe("OK");
    expect(await waiting).toBe("CLIENT_CLOSED");
    for (const [server] of cluster.servers) {
      const link = await server?.link();
      if (link === undefined) throw new Error("there is no server");
      await until("no channel is left", async () => {
        const channels = (await link.call("PUBSUB", "CHANNELS")) as string[];
        return channels.length === 0 && (await link.call("PUBSUB", "NUMPAT")) === 0;
      });
      await untilBlocked(link, 0);
    }
  });
});
