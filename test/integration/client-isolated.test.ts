// client-isolated.test.ts: TwineClient.isolated(): WATCH and the transactions that it guards, on a connection that one
// caller has for itself, also when that connection or its master is lost at the worst moment.
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TwineClient } from "../../runtime/client/twine-client.ts";
import { isMissing } from "../support/programs.ts";
import { PublishedCluster } from "../support/published-cluster.ts";
import { until } from "../support/redis-server.ts";
import { clientOf, clusterAndClient, outcomeOf, untilInSync } from "../support/twine-clients.ts";

/** Adds one to a number by reading and writing it: right only if nobody writes in between. */
async function increment(client: TwineClient, key: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const done = await client.isolated(key, async (one) => {
      await one.watch(key);
      const value = Number(await one.get(key));
      return one
        .multi()
        .set(key, value + 1)
        .exec();
    });
    if (done !== null) return attempt;
  }
}

describe.skipIf(isMissing("redis-server"))("TwineClient isolates", () => {
  test("many who read and write one key lose nothing, for each is told when another was faster", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 2 }, { readFrom: "replica" });
    const other = clientOf({ conf: cluster.confFile });
    const attempts = await Promise.all(
      Array.from({ length: 40 }, (_, index) => increment(index % 2 === 0 ? client : other, "n")),
    );
    expect(await client.get("n")).toBe("40");
    expect(Math.max(...attempts)).toBeGreaterThan(1);
  });

  test("exec gives null when a watched key changed, and EXEC and UNWATCH end the watching", async () => {
    const { client } = await clusterAndClient({ partitions: 1 });
    await client.isolated("a", async (one) => {
      await one.watch("a", "b");
      await client.set("b", "1");
      expect(await one.multi().set("a", "x").get("b").exec()).toBeNull();
      expect(await one.multi().set("a", "y").get("b").exec()).toEqual([
        [null, "OK"],
        [null, "1"],
      ]);
      await one.watch("b");
      await client.set("b", "2");
      await one.unwatch();
      expect(await one.multi().incr("b").exec()).toEqual([[null, 3]]);
      expect(await one.pipeline().get("a").incr("a").exec()).toMatchObject([
        [null, "y"],
        [{ message: expect.stringMatching(/not an integer/) as string }],
      ]);
      await one.watch("b");
    });
    // What was left watched is nobody else's.
    await client.set("b", "9");
    await client.isolated("a", async (one) => {
      expect(await one.multi().incr("b").exec()).toEqual([[null, 10]]);
    });
    const thrown = client.isolated("a", async (one) => {
      await one.watch("a");
      throw new Error("given up");
    });
    expect(await outcomeOf(thrown)).toBe("Error: given up");
    await client.set("a", "1");
    expect(await client.isolated("a", (one) => one.multi().get("a").exec())).toEqual([[null, "1"]]);
  });

  test("what it can't do is refused by name, before anything is sent", async () => {
    const { client } = await clusterAndClient({ partitions: 3, settings: ["hash-tag {}"] });
    for (const refused of [client.watch("a"), client.call("MULTI")]) {
      await expect(refused).rejects.toThrow(/client\.isolated\(key, async \(one\) =>/);
    }
    const keys = Array.from({ length: 9 }, (_, index) => `k${index}`);
    await client.isolated("{u}a", async (one) => {
      expect(await one.set("{u}b", 1)).toBe("OK");
      expect(await one.mget("{u}a", "{u}b")).toEqual([null, "1"]);
      const strays = keys.map((key) => outcomeOf(one.watch(key)));
      expect(await Promise.all(strays)).toContain("CROSSSLOT");
      await one.unwatch();
      // Without a WATCH it is a client as any other.
      expect(await one.del(...keys)).toBe(0);
      expect(await one.dbsize()).toBe(1);
      expect(await one.blpop("{u}l", 0.01)).toBeNull();
      const chain = one.multi();
      for (const key of keys) chain.set(key, 1);
      const error: unknown = await chain.exec().catch((cause: unknown) => cause);
      expect(error).toMatchObject({ message: expect.stringMatching(/^EXECABORT/) as string });
      expect(await one.exists(...keys)).toBe(0);
      expect(String(await outcomeOf(one.call("WATCH")))).toMatch(/wrong number of arguments/);
      expect(String(await outcomeOf(one.call("nonsense")))).toMatch(/unknown command/);
      expect(Number((await one.time())[0])).toBeGreaterThan(0);
    });
    const kept = await client.isolated("a", (one) => Promise.resolve(one));
    expect(await outcomeOf(kept.get("a"))).toBe("CLIENT_CLOSED");
    expect(await outcomeOf(kept.multi().get("a").exec())).toBe("CLIENT_CLOSED");
  });

  test("it begins after what was asked before, and its connections are lent again", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const link = await cluster.server(0, 1).link();
    for (let count = 1; count <= 30; count++) {
      const pushed = client.rpush("l", count);
      expect(await client.isolated("l", (one) => one.llen("l"))).toBe(count);
      await pushed;
    }
    const clients = (await link.call("INFO", "clients")) as string;
    expect(Number(/connected_clients:(\d+)/.exec(clients)?.[1])).toBeLessThanOrEqual(4);
  });

  test("a node that refuses a guarded transaction forgets its guard: it is never executed without", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const link = await cluster.server(0, 1).link();
    await client.set("a", "1");
    const done = client.isolated("a", async (one) => {
      await one.watch("a");
      await link.call("REPLICAOF", "127.0.0.1", "1");
      const exec = one.multi().set("a", "mine").exec();
      await until("it was refused", async () =>
        ((await link.call("INFO", "errorstats")) as string).includes("errorstat_READONLY"),
      );
      await link.call("REPLICAOF", "NO", "ONE");
      await link.call("SET", "a", "theirs");
      return exec;
    });
    expect(await done).toBeNull();
    expect(await client.get("a")).toBe("theirs");
    expect(await increment(client, "n")).toBe(1);
  });

  test("when the master dies between WATCH and EXEC, exec gives null and the next attempt is right", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1, nodes: 2 });
    const next = await cluster.server(0, 2).link();
    await untilInSync(await cluster.server(0, 1).link());
    await client.set("n", "5");
    await until("the replica has it", async () => (await next.call("GET", "n")) === "5");
    const reads: (string | null)[] = [];
    const done = await client.isolated("n", async (one) => {
      await one.watch("n");
      reads.push(await one.get("n"));
      await cluster.server(0, 1).kill();
      await next.call("REPLICAOF", "NO", "ONE");
      await cluster.show([2]);
      // The connection is another one now: commands go on, but what was watched is not.
      reads.push(await one.get("n"));
      return one.multi().incr("n").exec();
    });
    expect([done, reads]).toEqual([null, ["5", "5"]]);
    expect(await increment(client, "n")).toBe(1);
    expect(await client.get("n")).toBe("6");
  });

  test("a transaction that was on the wire when the connection broke is UNCERTAIN, also when it could be repeated", async () => {
    const { client, cluster } = await clusterAndClient(
      { partitions: 1 },
      { retryUnknown: "idempotent" },
    );
    const server = cluster.server(0, 1);
    const outcome = outcomeOf(
      client.isolated("a", async (one) => {
        await one.watch("a");
        server.signal("SIGSTOP");
        const exec = outcomeOf(one.multi().set("a", "1").exec());
        await new Promise((resolve) => setImmediate(resolve));
        await server.kill();
        await server.start();
        return exec;
      }),
    );
    expect(await outcome).toBe("UNCERTAIN");
  });

  test("quit lets it come to its end; disconnect ends it", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const tell = { begun: (): void => undefined, quitting: (): void => undefined };
    const begun = new Promise<void>((resolve) => (tell.begun = resolve));
    const quitting = new Promise<void>((resolve) => (tell.quitting = resolve));
    const done = client.isolated("a", async (one) => {
      await one.watch("a");
      tell.begun();
      await quitting;
      await one.get("a");
      return one.multi().set("a", "1").exec();
    });
    await begun;
    const ended = client.quit();
    tell.quitting();
    expect(await outcomeOf(client.get("a"))).toBe("CLIENT_CLOSED");
    expect(await done).toEqual([[null, "OK"]]);
    expect(await ended).toBe("OK");
    const other = clientOf({ conf: cluster.confFile });
    const cut = other.isolated("a", async (one) => {
      await one.watch("a");
      other.disconnect();
      return one.multi().set("a", "2").exec();
    });
    expect(await outcomeOf(cut)).toBe("CLIENT_CLOSED");
    expect(await outcomeOf(other.isolated("a", (one) => one.get("a")))).toBe("CLIENT_CLOSED");
  });

  test("a hash that is a program of its own keeps the order of everything", async () => {
    const cluster = await PublishedCluster.start({ partitions: 2, settings: ["hash ./by-length"] });
    const program = join(cluster.folder, "by-length");
    await writeFile(program, "#!/bin/sh\necho $((${#1} % $2))\n");
    await chmod(program, 0o755);
    const other = clientOf({ conf: cluster.confFile });
    const heard: string[] = [];
    other.on("message", (channel, message) => heard.push(`${channel} ${message}`));
    expect(await other.subscribe("c1", "c22")).toBe(2);
    expect([await other.publish("c1", "x"), await other.publish("c22", "y")]).toEqual([1, 1]);
    await until("both are heard", () => heard.length === 2);
    const pushed = other.rpush("queue", "1");
    expect(await other.blpop("queue", 5)).toEqual(["queue", "1"]);
    expect(await pushed).toBe(1);
    const result = await other.isolated("odd", async (one) => {
      void one.watch("odd");
      void one.set("odd", "1");
      void one.append("new", "2");
      const exec = one.multi().append("odd", "2").exec();
      const values = one.mget("odd", "new");
      return [await exec, await values];
    });
    expect(result).toEqual([null, ["1", "2"]]);
  });
});
