// client-blocking.test.ts: TwineClient's commands that wait: on connections of their own, over kills and handovers, and
// ended by quit() and disconnect(). And WAIT.
import { describe, expect, test } from "vitest";
import type { TwineClient } from "../../runtime/client/twine-client.ts";
import { badPort } from "../support/bad-port.ts";
import { isMissing } from "../support/programs.ts";
import type { PublishedCluster } from "../support/published-cluster.ts";
import { until } from "../support/redis-server.ts";
import {
  clientOf,
  clusterAndClient,
  outcomeOf,
  untilBlocked,
  untilInSync,
} from "../support/twine-clients.ts";

/** Publishes that p0-1, the master, is reached by that port; the client knows it afterwards. */
async function showBehind(
  port: number,
  client: TwineClient,
  cluster: PublishedCluster,
): Promise<void> {
  const nodes = (client.view?.nodes ?? []).map((node) =>
    node.name === "p0-1" ? { ...node, port } : node,
  );
  await cluster.show([1], { nodes });
  await until("the client knows", () =>
    (client.view?.nodes ?? []).some((node) => node.port === port),
  );
}

describe.skipIf(isMissing("redis-server"))("TwineClient waits at nodes", () => {
  test("every kind of blocking command gives what ioredis gives, and null when its time is over", async () => {
    const { client } = await clusterAndClient({ partitions: 1 });
    const all = [
      client.blpop("l", 5),
      client.brpoplpush("from", "to", 5),
      client.blmove("from2", "to2", "LEFT", "RIGHT", 5),
      client.bzpopmin("z", 5),
      client.call("BLMPOP", 5, 1, "m", "LEFT"),
      client.xread("BLOCK", 5000, "STREAMS", "s", "0"),
    ];
    await client.rpush("l", "1");
    await client.rpush("from", "2");
    await client.rpush("from2", "3");
    await client.zadd("z", 4, "four");
    await client.rpush("m", "5");
    await client.xadd("s", "1-1", "f", "6");
    expect(await Promise.all(all)).toEqual([
      ["l", "1"],
      "2",
      "3",
      ["z", "four", "4"],
      ["m", ["5"]],
      [["s", [["1-1", ["f", "6"]]]]],
    ]);
    expect(await client.lrange("to", 0, -1)).toEqual(["2"]);
    expect(await client.blpop("none", "0.05")).toBeNull();
    expect(await client.blmove("none", "to", "LEFT", "LEFT", "0.05")).toBeNull();
    expect(await client.xread("BLOCK", 20, "STREAMS", "s", "$")).toBeNull();
    expect(String(await outcomeOf(client.blpop("l", "soon")))).toMatch(/timeout is not a float/);
    expect(await client.multi().blpop("none", 1).exec()).toEqual([[null, null]]);
  });

  test("who waits holds up nobody, and begins after what was asked before", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const waiting = Array.from({ length: 20 }, () => client.blpop("q", 0));
    const link = await cluster.server(0, 1).link();
    await untilBlocked(link, 20);
    expect(await client.set("a", "1")).toBe("OK");
    const taken = new Set<string>();
    for (const one of waiting) void one.then((found) => taken.add(found?.[1] ?? ""));
    await client.rpush("q", ...waiting.map((_, index) => index));
    await Promise.all(waiting);
    expect(taken.size).toBe(20);
    // Nothing of this is awaited before the next is asked.
    const pushed = client.rpush("b", "x", "y");
    const first = client.blpop("b", 1);
    expect([await first, await pushed]).toEqual([["b", "x"], 2]);
  });

  test("it begins after what was asked before, even where its connection is ready at once", async () => {
    const { client } = await clusterAndClient({ partitions: 1 });
    await client.rpush("q", "old");
    expect(await client.blpop("none", "0.01")).toBeNull();
    const gone = client.del("q");
    expect(await client.blpop("q", "0.05")).toBeNull();
    expect(await gone).toBe(1);
  });

  test("a connection that only the client has lost takes nothing off at its node any more", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const link = await cluster.server(0, 1).link();
    const port = await badPort(cluster.server(0, 1).port);
    await showBehind(port.port, client, cluster);
    const waiting = client.blpop("q", 0);
    await untilBlocked(link, 1);
    const waitingIds = async (): Promise<string[]> =>
      [...((await link.call("CLIENT", "LIST")) as string).matchAll(/^id=(\d+) .* flags=b /gm)].map(
        ([, id = ""]) => id,
      );
    const [lost] = await waitingIds();
    port.cut();
    await until("another one waits, and the lost one does not", async () => {
      const ids = await waitingIds();
      return ids.length === 1 && ids[0] !== lost;
    });
    expect(await link.call("RPUSH", "q", "1")).toBe(1);
    expect(await waiting).toEqual(["q", "1"]);
  });

  test("its connections are lent again, and few stay", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const link = await cluster.server(0, 1).link();
    for (let count = 0; count < 50; count++) {
      const found = client.brpop("q", 5);
      await client.lpush("q", count);
      expect(await found).toEqual(["q", `${count}`]);
    }
    const stats = async (): Promise<string> => (await link.call("INFO", "clients")) as string;
    expect(Number(/connected_clients:(\d+)/.exec(await stats())?.[1])).toBeLessThanOrEqual(4);
    const many = Array.from({ length: 30 }, () => client.brpop("q", 0));
    await untilBlocked(link, 30);
    await client.lpush("q", ...Array.from({ length: 30 }, (_, index) => index));
    await Promise.all(many);
    await until(
      "the idle ones, the pipeline and this link stay",
      async () => Number(/connected_clients:(\d+)/.exec(await stats())?.[1]) <= 34,
    );
  });

  test("keys of several partitions get CROSSSLOT with the hint of a hash tag, and share one by it", async () => {
    const { client } = await clusterAndClient({ partitions: 3, settings: ["hash-tag {}"] });
    const apart = Array.from({ length: 12 }, (_, index) => `k${index}`);
    const error = client.blpop(...apart, 1);
    await expect(error).rejects.toThrow(/^CROSSSLOT .*says .hash-tag \{\}/);
    const found = client.blpop("{u}a", "{u}b", 5);
    await client.rpush("{u}b", "1");
    expect(await found).toEqual(["{u}b", "1"]);
  });

  test("when a master is killed its callers wait on at the new one, and get each element once", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1, nodes: 2 });
    const [old, replica] = [cluster.server(0, 1), await cluster.server(0, 2).link()];
    await untilInSync(await old.link());
    const waiting = [client.blpop("q", 0), client.blmove("q", "d", "LEFT", "RIGHT", 0)];
    const short = client.blpop("none", 1);
    await untilBlocked(await old.link(), 3);
    await old.kill();
    await replica.call("REPLICAOF", "NO", "ONE");
    await cluster.show([2]);
    await untilBlocked(replica, 2);
    expect(await client.rpush("q", "1", "2")).toBe(2);
    const found = await Promise.all(waiting);
    expect(
      found
        .flat()
        .filter((text) => text !== "q")
        .sort(),
    ).toEqual(["1", "2"]);
    expect(await client.llen("q")).toBe(0);
    expect(await short).toBeNull();
  });

  test("a handover moves those who wait, whatever the old master says first", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1, nodes: 2 });
    const [old, next] = await Promise.all([1, 2].map((at) => cluster.server(0, at).link()));
    if (old === undefined || next === undefined) throw new Error("two nodes were wanted");
    await untilInSync(old);
    const waiting = client.blpop("q", 0);
    const read = client.xread("BLOCK", 0, "STREAMS", "s", "0");
    await untilBlocked(old, 2);
    await next.call("REPLICAOF", "NO", "ONE");
    // UNBLOCKED to the first, MASTERDOWN to whoever asks again.
    await old.call("REPLICAOF", "127.0.0.1", "1");
    await old.call("CONFIG", "SET", "replica-serve-stale-data", "no");
    await cluster.show([2]);
    await untilBlocked(next, 2);
    await client.rpush("q", "1");
    await client.xadd("s", "1-1", "f", "v");
    expect(await waiting).toEqual(["q", "1"]);
    expect(await read).toEqual([["s", [["1-1", ["f", "v"]]]]]);
    await untilBlocked(old, 0);
  });

  test("what the old master gave out before the handover arrives, though the view is faster", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1, nodes: 2 });
    const [old, next] = [await cluster.server(0, 1).link(), await cluster.server(0, 2).link()];
    const slow = await badPort(cluster.server(0, 1).port);
    await showBehind(slow.port, client, cluster);
    await untilInSync(old);
    const waiting = client.blpop("q", 0);
    await untilBlocked(old, 1);
    slow.hold();
    expect(await old.call("RPUSH", "q", "1")).toBe(1);
    await untilBlocked(old, 0);
    await next.call("REPLICAOF", "NO", "ONE");
    client.once("failover", () => {
      slow.release();
    });
    await cluster.show([2]);
    expect(await waiting).toEqual(["q", "1"]);
  });

  test("a master that was only paused takes nothing off for those who wait elsewhere", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1, nodes: 2 });
    const old = cluster.server(0, 1);
    const [oldLink, next] = [await old.link(), await cluster.server(0, 2).link()];
    await untilInSync(oldLink);
    const waiting = client.blpop("q", 0);
    await untilBlocked(oldLink, 1);
    old.signal("SIGSTOP");
    await next.call("REPLICAOF", "NO", "ONE");
    await cluster.show([2]);
    await untilBlocked(next, 1);
    // Back again: the connection of before is ended there first.
    const again = cluster.show([1]);
    old.signal("SIGCONT");
    await again;
    await untilBlocked(next, 0);
    await untilBlocked(oldLink, 1);
    expect(await client.rpush("q", "1")).toBe(1);
    expect(await waiting).toEqual(["q", "1"]);
  });

  test("without a master a call waits for its own time or for hold-for, whichever is shorter", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 }, { holdForMs: 300 });
    const held = new Promise((resolve) => client.once("held", resolve));
    await cluster.show([null]);
    await until("the view has no master", () => client.view?.partitions[0]?.master === null);
    expect(await outcomeOf(client.blpop("q", 0))).toBe("TWINEDOWN");
    await held;
    const patient = clientOf({ conf: cluster.confFile, holdForMs: 5000 });
    await until("the other one has a view", () => patient.view !== undefined);
    const short = patient.blpop("q", "1.2");
    // Before it has a master it must have been told the commands: that one answers while it is dead.
    expect(await short).toBeNull();
  });

  test("ack-replicas: what was taken off is acknowledged when the replicas know it", async () => {
    const { client, cluster } = await clusterAndClient(
      { partitions: 1, nodes: 2 },
      { ackReplicas: 1, ackTimeoutMs: 200 },
    );
    await untilInSync(await cluster.server(0, 1).link());
    await until(
      "the replica acknowledges",
      async () => (await outcomeOf(client.set("a", 1))) === "OK",
    );
    await client.rpush("q", "1", "2", "3");
    expect(await client.blpop("q", 1)).toEqual(["q", "1"]);
    cluster.server(0, 2).signal("SIGSTOP");
    expect(await outcomeOf(client.blpop("q", 1))).toBe("UNDERREPLICATED");
    expect(await client.blpop("none", "0.05")).toBeNull();
    cluster.server(0, 2).signal("SIGCONT");
  });

  test("ack-replicas: a master that hangs while it counts them, and is replaced, keeps nobody waiting", async () => {
    const { client, cluster } = await clusterAndClient(
      { partitions: 1, nodes: 3 },
      { ackReplicas: 2, ackTimeoutMs: 60_000 },
    );
    const link = await cluster.server(0, 1).link();
    await untilInSync(link);
    cluster.server(0, 3).signal("SIGSTOP");
    await link.call("RPUSH", "q", "1");
    const found = outcomeOf(client.blpop("q", 0));
    // What it waits for now is the second replica, which hangs.
    await untilBlocked(link, 1);
    cluster.server(0, 1).signal("SIGSTOP");
    await cluster.show([2]);
    expect(await found).toBe("UNDERREPLICATED");
  });

  test("quit ends those who wait without losing anything; disconnect says what it cannot know", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1 });
    const link = await cluster.server(0, 1).link();
    const waiting = [client.blpop("q", 0), client.xread("BLOCK", 0, "STREAMS", "s", "0")];
    await untilBlocked(link, 2);
    // Not yet at the node, perhaps.
    waiting.push(client.blpop("q", 0));
    const outcomes = Promise.all(waiting.map(outcomeOf));
    expect(await client.quit()).toBe("OK");
    expect(await outcomes).toEqual(["CLIENT_CLOSED", "CLIENT_CLOSED", "CLIENT_CLOSED"]);
    await untilBlocked(link, 0);
    const other = clientOf({ conf: cluster.confFile });
    const more = [
      other.blpop("q", 0),
      other.xread("BLOCK", 0, "STREAMS", "s", "0"),
      other.wait(1, 0),
    ];
    await untilBlocked(link, 3);
    const ends = Promise.all(more.map(outcomeOf));
    other.disconnect();
    expect(await ends).toEqual(["UNCERTAIN", "CLIENT_CLOSED", "CLIENT_CLOSED"]);
    expect(await outcomeOf(other.blpop("q", 1))).toBe("CLIENT_CLOSED");
  });
});

describe.skipIf(isMissing("redis-server"))("TwineClient's WAIT", () => {
  test("counts the replicas that hold what this client wrote, the least of its partitions", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 2, nodes: 2 });
    for (const partition of [0, 1]) await untilInSync(await cluster.server(partition, 1).link());
    const keys = Array.from({ length: 10 }, (_, index) => `k${index}`);
    const set = client.mset(new Map(keys.map((key) => [key, "1"])));
    expect(await client.wait(1, 10_000)).toBe(1);
    expect(await set).toBe("OK");
    cluster.server(1, 2).signal("SIGSTOP");
    await client.mset(new Map(keys.map((key) => [key, "2"])));
    expect(await client.wait(1, 100)).toBe(0);
    cluster.server(1, 2).signal("SIGCONT");
    expect(await client.wait(1, 10_000)).toBe(1);
    expect(String(await outcomeOf(client.call("WAIT", "one", 1)))).toMatch(/not an integer/);
  });

  test("what was written under a master that is gone is held by nobody, and that is said once", async () => {
    const { client, cluster } = await clusterAndClient({ partitions: 1, nodes: 2 });
    await untilInSync(await cluster.server(0, 1).link());
    await client.set("a", "1");
    const next = await cluster.server(0, 2).link();
    await next.call("REPLICAOF", "NO", "ONE");
    const old = await cluster.server(0, 1).link();
    await old.call("REPLICAOF", "127.0.0.1", cluster.server(0, 2).port);
    const isOver = new Promise((resolve) => client.once("failover", resolve));
    await cluster.show([2]);
    await isOver;
    expect(await client.wait(1, 50)).toBe(0);
    await untilInSync(next);
    await client.set("a", "2");
    expect(await client.wait(1, 10_000)).toBe(1);
  });
});
