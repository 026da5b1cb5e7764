// router-blocking.test.ts: commands that wait, through the router: BLPOP and its kin, XREAD BLOCK, WAIT.
import { once } from "node:events";
import { createClient } from "@redis/client";
import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { badPort } from "../support/bad-port.ts";
import { isMissing } from "../support/programs.ts";
import { until, type TestRedis } from "../support/redis-server.ts";
import { routerBesideRedis } from "../support/router-beside-redis.ts";
import {
  pipelined,
  promoteReplica,
  startRouterCluster,
  RawClient,
} from "../support/router-cluster.ts";

async function infoOf(server: TestRedis, name: string): Promise<number> {
  const info = (await (await server.link()).call("INFO", "clients")) as string;
  return Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
}

async function blockedOn(servers: readonly TestRedis[]): Promise<number> {
  let count = 0;
  for (const server of servers) count += await infoOf(server, "blocked_clients");
  return count;
}

/** Each waits; then another client's commands wake it; then its reply. */
const WAKES: readonly (readonly [waits: string, wakes: string])[] = [
  ["BLPOP {b}l {b}m 0", "RPUSH {b}m x"],
  ["BRPOP {b}l 0", "RPUSH {b}l x y"],
  ["BLMOVE {b}l {b}m LEFT RIGHT 0", "RPUSH {b}l x"],
  ["BRPOPLPUSH {b}l {b}m 0", "RPUSH {b}l x"],
  ["BLMPOP 0 2 {b}l {b}m LEFT COUNT 2", "RPUSH {b}m x y z"],
  ["BZPOPMIN {b}z 0", "ZADD {b}z 2 b 1 a"],
  ["BZPOPMAX {b}z 0", "ZADD {b}z 2 b 1 a"],
  ["BZMPOP 0 1 {b}z MIN", "ZADD {b}z 2 b 1 a"],
  ["XREAD BLOCK 0 STREAMS {b}s $", "XADD {b}s 1-1 f v"],
  ["XREADGROUP GROUP g c BLOCK 0 STREAMS {b}g >", "XADD {b}g 1-1 f v"],
];

/** Nothing to wait for, or nothing comes. */
const ANSWERED: readonly string[] = [
  "BLPOP {b}none 0.01",
  "BLMOVE {b}none {b}m LEFT RIGHT 0.01",
  "BRPOPLPUSH {b}none {b}m 0.01",
  "BLMPOP 0.01 1 {b}none LEFT",
  "BZMPOP 0.01 1 {b}none MIN",
  "XREAD BLOCK 10 STREAMS {b}none $",
  "BLPOP {b}none x",
  "BLPOP {b}none -1",
  "BLPOP {b}none",
  "BLMPOP x 1 {b}none LEFT",
  "XREAD BLOCK x STREAMS {b}none $",
  "BLPOP {b}string 0",
  "WAIT x 1",
  "WAIT 1 x",
  "WAIT 1 -1",
  "WAIT 1",
];

describe.skipIf(isMissing("redis-server"))("commands that wait, through the router", () => {
  const beside = routerBesideRedis();

  for (const protocol of ["2", "3"]) {
    test(`each is woken as by a bare Redis, with RESP${protocol}`, async () => {
      const [router, redis] = await beside.both();
      const [waker, wakerThere] = await beside.both();
      for (const client of [router, redis]) await client.call(`HELLO ${protocol}`);
      for (const [waits, wakes] of WAKES) {
        for (const client of [waker, wakerThere]) {
          await client.call("FLUSHALL");
          await client.call("XGROUP CREATE {b}g g 0 MKSTREAM");
        }
        router.send(pipelined([waits]));
        redis.send(pipelined([waits]));
        await until(`${waits} waits`, async () => {
          return (
            (await blockedOn([beside.plain])) === 1 &&
            (await blockedOn(beside.cluster.servers)) === 1
          );
        });
        expect(await waker.call(wakes)).toBe(await wakerThere.call(wakes));
        expect(await router.reply(), waits).toBe(await redis.reply());
      }
      redis.socket.destroy();
      wakerThere.socket.destroy();
    });

    test(`what needn't wait, or waits in vain, is answered as by a bare Redis, with RESP${protocol}`, async () => {
      const [router, redis] = await beside.both();
      for (const client of [router, redis]) {
        await client.call(`HELLO ${protocol}`);
        await client.call("SET {b}string x");
        for (const command of ANSWERED) client.send(pipelined([command]));
      }
      for (const command of ANSWERED) {
        expect(await router.reply(), command).toBe(await redis.reply());
      }
      redis.socket.destroy();
    });
  }

  test("a waiting command holds up its own client's later commands and nobody else's", async () => {
    const [client, other] = [await beside.cluster.client(), await beside.cluster.client()];
    await other.call("FLUSHALL");
    client.send(pipelined(["SET {q}a 1", "BLPOP {q}l 0", "GET {q}a", "LLEN {q}l"]));
    expect(await client.reply()).toBe("+OK\r\n");
    await until("it waits", async () => (await blockedOn(beside.cluster.servers)) === 1);
    expect(await other.call("SET {q}a 2")).toBe("+OK\r\n");
    expect(await other.call("RPUSH {q}l x y")).toBe(":2\r\n");
    expect(await client.reply()).toBe("*2\r\n$4\r\n{q}l\r\n$1\r\nx\r\n");
    expect(await client.reply()).toBe("$1\r\n2\r\n");
    expect(await client.reply()).toBe(":1\r\n");
  });

  test("a client that leaves while it waits takes nothing, however it leaves", async () => {
    const other = await beside.cluster.client();
    await other.call("FLUSHALL");
    for (const leave of ["destroy", "end", "resetAndDestroy"] as const) {
      const client = await beside.cluster.client();
      client.send(pipelined(["BLPOP {g}l 0", "SET {g}never 1"]));
      await until("it waits", async () => (await blockedOn(beside.cluster.servers)) === 1);
      client.socket[leave]();
      await until(
        `nobody waits after ${leave}`,
        async () => (await blockedOn(beside.cluster.servers)) === 0,
      );
    }
    expect(await other.call("RPUSH {g}l x")).toBe(":1\r\n");
    expect(await other.call("LLEN {g}l")).toBe(":1\r\n");
    expect(await other.call("EXISTS {g}never")).toBe(":0\r\n");
  });

  test("keys of several partitions can't be waited for, and a user's hint says why", async () => {
    const client = await beside.cluster.client();
    expect(await client.call("BLPOP a b c d e f 0")).toMatch(/^-CROSSSLOT .*hash-tag {}/);
  });

  test("a hundred clients wait at once, and each is woken once", async () => {
    const clients = await Promise.all(Array.from({ length: 100 }, () => beside.cluster.client()));
    const waker = await beside.cluster.client();
    await waker.call("FLUSHALL");
    clients.forEach((client, index) => {
      client.send(pipelined([`BLPOP q${index % 10} 0`]));
    });
    await until("all wait", async () => (await blockedOn(beside.cluster.servers)) === 100);
    for (let index = 0; index < 100; index++)
      waker.send(pipelined([`RPUSH q${index % 10} v${index}`]));
    const values = await Promise.all(
      clients.map(async (client) => /v\d+/.exec(await client.reply())?.[0]),
    );
    expect(new Set(values).size).toBe(100);
    await until("nobody waits", async () => (await blockedOn(beside.cluster.servers)) === 0);
    for (const client of clients) client.socket.destroy();
  });

  test("a router that ends does not wait for those who wait", async () => {
    const ending = await startRouterCluster({ partitions: 1, settings: ["drain-for 60s"] });
    const [client, late] = [await RawClient.open(ending.port), await RawClient.open(ending.port)];
    client.send(pipelined(["BLPOP l 0"]));
    await until("it waits", async () => (await blockedOn(ending.servers)) === 1);
    late.send(pipelined(["SET a 1", "BLPOP l 0"]));
    const reply = client.reply();
    await ending.close();
    expect(await reply).toBe("closed");
  });

  test("a client that has ended its side gets what is there, and then leaves", async () => {
    const [half, other] = [await beside.cluster.client(), await beside.cluster.client()];
    await other.call("FLUSHALL");
    await other.call("RPUSH {h}l x");
    // Method: the write before the first wait is held until the router has seen the end of the client's side; whoever
    // ends its side while it waits at a node has left, as at Redis.
    beside.cluster.view.confirm(false);
    half.socket.end(pipelined(["SET {h}a 1", "BLPOP {h}l 0", "BLPOP {h}l 0"]));
    await once(half.socket, "finish");
    await other.call("PING");
    await other.call("PING");
    beside.cluster.view.confirm(true);
    expect(await half.reply()).toBe("+OK\r\n");
    expect(await half.reply()).toBe("*2\r\n$4\r\n{h}l\r\n$1\r\nx\r\n");
    expect(await half.reply()).toBe("closed");
    await until("nobody waits", async () => (await blockedOn(beside.cluster.servers)) === 0);
  });

  test("ioredis and node-redis wait and are woken", async () => {
    const address = { host: "127.0.0.1", port: beside.cluster.port };
    const [redis, other] = [new Redis(address), new Redis(address)];
    const client = createClient({ socket: address, RESP: 3 });
    await client.connect();
    try {
      await other.flushall();
      const popped = [redis.blpop("{c}a", 0), client.blPop("{c}b", 0)] as const;
      await until("both wait", async () => (await blockedOn(beside.cluster.servers)) === 2);
      await other.rpush("{c}a", "1");
      await other.rpush("{c}b", "2");
      expect(await popped[0]).toEqual(["{c}a", "1"]);
      expect({ ...(await popped[1]) }).toEqual({ key: "{c}b", element: "2" });
    } finally {
      redis.disconnect();
      other.disconnect();
      client.destroy();
    }
  });
});

describe.skipIf(isMissing("redis-server"))("commands that wait, while a master dies", () => {
  test("they wait on at the new master, with the time that is left", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const [forever, timed, stream, other] = await Promise.all([
      ...[cluster.client(), cluster.client(), cluster.client(), cluster.client()],
    ]);
    if (!forever || !timed || !stream || !other) throw new Error("no client");
    await other.call("XADD s 1-1 f v");
    forever.send(pipelined(["BLPOP l 0"]));
    timed.send(pipelined(["BLPOP m 3"]));
    stream.send(pipelined(["XREAD BLOCK 0 STREAMS s 1-1"]));
    await until("all wait", async () => (await blockedOn(cluster.servers)) === 3);
    await cluster.servers[0]?.kill();
    const master = await promoteReplica(cluster);
    await until("all wait at the new master", async () => (await blockedOn([master])) === 3);
    expect(await other.call("RPUSH l x")).toBe(":1\r\n");
    expect(await forever.reply()).toBe("*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
    await other.call("XADD s 2-1 f v");
    expect(await stream.reply()).toContain("2-1");
    expect(await timed.reply()).toBe("*-1\r\n");
    expect(await other.call("PING")).toBe("+PONG\r\n");
  });

  test("a master that is told to follow another turns its waiting clients over to that one", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const [client, other] = [await cluster.client(), await cluster.client()];
    client.send(pipelined(["BLPOP l 0"]));
    await until("it waits", async () => (await blockedOn(cluster.servers)) === 1);
    const [old, replica] = [cluster.servers[0], cluster.replicas[0]?.[0]];
    if (old === undefined || replica === undefined) throw new Error("no nodes");
    await (await replica.link()).call("REPLICAOF", "NO", "ONE");
    await (await old.link()).call("REPLICAOF", "127.0.0.1", replica.port);
    await until("the old master says so", async () => (await blockedOn([old])) === 0);
    const nodes = [old, replica].map(({ port }) => ({ port, partition: 0 }));
    cluster.view.show(nodes, [replica.port]);
    await until("it waits there", async () => (await blockedOn([replica])) === 1);
    await other.call("RPUSH l x");
    expect(await client.reply()).toBe("*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
  });

  test("what the old master gave out before the handover arrives, though the view is faster", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const old = cluster.servers[0];
    const slow = await badPort(old?.port ?? 0);
    cluster.view.show([{ port: slow.port, partition: 0 }], [slow.port]);
    const client = await cluster.client();
    client.send(pipelined(["BLPOP l 0"]));
    await until("it waits", async () => (await blockedOn(cluster.servers)) === 1);
    slow.hold();
    expect(await (await old?.link())?.call("RPUSH", "l", "x")).toBe(1);
    await until("it was given out", async () => (await blockedOn(cluster.servers)) === 0);
    await promoteReplica(cluster);
    slow.release();
    expect(await client.reply()).toBe("*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
  });

  test("with nowhere to go it waits for its own time at most, or for hold-for", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["hold-for 300ms"] });
    const [client, other] = [await cluster.client(), await cluster.client()];
    const node = { port: cluster.servers[0]?.port ?? 0, partition: 0 };
    await client.call("PING");
    cluster.view.show([node], [null]);
    expect(await client.call("BLPOP l 0.1")).toBe("*-1\r\n");
    expect(await client.call("BLPOP l 0")).toMatch(/^-TWINEDOWN partition 0 has no master/);
    client.send(pipelined(["BLPOP l 5"]));
    other.send(pipelined(["RPUSH l x"]));
    cluster.view.show([node], [node.port]);
    expect(await client.reply()).toBe("*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
  });

  test("with ack-replicas what was popped is gone at the replica too, or the reply says so", async () => {
    const settings = ["ack-replicas 1", "ack-timeout 1s"];
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1, settings });
    const [client, other] = [await cluster.client(), await cluster.client()];
    const replica = cluster.replicas[0]?.[0];
    const link = await replica?.link();
    for (let round = 0; round < 50; round++) {
      client.send(pipelined(["BLPOP l 0"]));
      await other.call("RPUSH l x y");
      expect(await client.reply()).toBe("*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
      expect(await link?.call("LLEN", "l")).toBe(1);
      await other.call("DEL l");
    }
    await other.call("RPUSH l x y");
    replica?.signal("SIGSTOP");
    expect(await client.call("BLPOP l 0")).toBe("-UNDERREPLICATED held by 0 of 1\r\n");
    replica?.signal("SIGCONT");
  });

  test("ack-replicas: a master that hangs while it counts them, and is replaced, keeps nobody waiting", async () => {
    const settings = ["ack-replicas 1", "ack-timeout 60s"];
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1, settings });
    const [master, replica] = [cluster.servers[0], cluster.replicas[0]?.[0]];
    const client = await cluster.client();
    replica?.signal("SIGSTOP");
    await (await master?.link())?.call("RPUSH", "l", "x");
    client.send(pipelined(["BLPOP l 0"]));
    await until("it counts", async () => (await blockedOn(cluster.servers)) === 1);
    master?.signal("SIGSTOP");
    replica?.signal("SIGCONT");
    await promoteReplica(cluster);
    expect(await client.reply()).toBe("-UNDERREPLICATED held by 0 of 1\r\n");
  });
});

describe.skipIf(isMissing("redis-server"))("WAIT through the router", () => {
  test("it counts the replicas that hold what this client wrote, the least of its partitions", async () => {
    const cluster = await startRouterCluster({
      partitions: 3,
      replicas: 1,
      settings: ["hash-tag {}"],
    });
    const [client, reader] = [await cluster.client(), await cluster.client()];
    for (let round = 0; round < 50; round++) {
      client.send(pipelined([`SET a ${round}`, `SET b ${round}`, `SET c ${round}`, "WAIT 1 5000"]));
      for (let count = 0; count < 3; count++) await client.reply();
      expect(await client.reply()).toBe(":1\r\n");
      let held = 0;
      for (const [replica] of cluster.replicas) {
        const link = await replica?.link();
        for (let db = 0; db < 3; db++) {
          await link?.call("SELECT", db);
          for (const key of ["a", "b", "c"])
            held += (await link?.call("GET", key)) === String(round) ? 1 : 0;
        }
      }
      expect(held).toBe(3);
    }
    // One partition's replica stands still: its writers see that, the others don't.
    const stopped = cluster.replicas[0]?.[0];
    const inFirst: string[] = [];
    const elsewhere: string[] = [];
    const first = await cluster.servers[0]?.link();
    await first?.call("SELECT", 0);
    for (let number = 0; number < 20; number++) {
      await reader.call(`SET k${number} 1`);
      const isThere = (await first?.call("EXISTS", `k${number}`)) === 1;
      (isThere ? inFirst : elsewhere).push(`k${number}`);
    }
    stopped?.signal("SIGSTOP");
    const fresh = await cluster.client();
    await fresh.call(`SET ${elsewhere[0] ?? ""} 2`);
    expect(await fresh.call("WAIT 1 5000")).toBe(":1\r\n");
    await fresh.call(`SET ${inFirst[0] ?? ""} 2`);
    expect(await fresh.call("WAIT 1 100")).toBe(":0\r\n");
    // It waits on a connection of its own: others go on, in that partition too.
    fresh.send(pipelined(["WAIT 1 0"]));
    await until("it waits", async () => (await blockedOn(cluster.servers)) === 1);
    expect(await reader.call(`GET ${inFirst[0] ?? ""}`)).toBe("$1\r\n2\r\n");
    stopped?.signal("SIGCONT");
    expect(await fresh.reply()).toBe(":1\r\n");
  });

  test("what was written under a master that is gone is held by nobody, and that is said once", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 2 });
    const client = await cluster.client();
    await client.call("SET a 1");
    expect(await client.call("WAIT 2 5000")).toBe(":2\r\n");
    await cluster.servers[0]?.kill();
    const [replica, other] = cluster.replicas[0] ?? [];
    await promoteReplica(cluster);
    await (await other?.link())?.call("REPLICAOF", "127.0.0.1", replica?.port ?? 0);
    await until("the other follows", async () => {
      const info = (await (await replica?.link())?.call("INFO", "replication")) as string;
      return info.includes("state=online");
    });
    expect(await client.call("WAIT 1 100")).toBe(":0\r\n");
    await client.call("SET a 2");
    expect(await client.call("WAIT 1 5000")).toBe(":1\r\n");
  });
});
