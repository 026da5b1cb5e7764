// router-transactions.test.ts: MULTI, EXEC, WATCH through the router, beside what a bare Redis says to the same bytes.
import { createClient } from "@redis/client";
import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { routerBesideRedis } from "../support/router-beside-redis.ts";
import { pipelined, promoteReplica, startRouterCluster } from "../support/router-cluster.ts";

/** What a bare Redis says to each of these, sent in one go. */
const CONVERSATIONS: readonly (readonly string[])[] = [
  ["MULTI", "SET {t}a 1", "INCR {t}a", "GET {t}a", "PING", "ECHO hi", "TYPE {t}a", "EXEC"],
  ["MULTI", "MULTI", "SET {t}a 1", "EXEC"],
  ["MULTI", "WATCH {t}a", "SET {t}a 1", "EXEC"],
  ["MULTI", "UNWATCH", "PING", "EXEC"],
  ["MULTI", "SET {t}a", "NOPE x", "EXEC", "GET {t}a", "EXEC", "DISCARD"],
  ["MULTI", "DISCARD now", "EXEC"],
  ["MULTI", "EXEC now", "GET {t}a", "EXEC"],
  ["MULTI", "SET {t}a x", "INCR {t}a", "LPUSH {t}a 1", "GET {t}a", "EXEC"],
  ["MULTI", "EXEC"],
  ["MULTI", "DISCARD", "EXEC"],
  ["EXEC", "DISCARD", "UNWATCH", "UNWATCH x", "WATCH", "MULTI x", "EXEC x"],
  ["WATCH {t}a", "SET {t}a 5", "MULTI", "INCR {t}a", "EXEC", "GET {t}a"],
  ["WATCH {t}a", "SET {t}a 5", "UNWATCH", "MULTI", "INCR {t}a", "EXEC"],
  ["WATCH {t}a", "MULTI", "INCR {t}a", "EXEC", "MULTI", "INCR {t}a", "EXEC"],
  ["WATCH {t}a {t}b", "WATCH {t}c", "MULTI", "SET {t}b 1", "DISCARD", "GET {t}b"],
  ["SET {t}a 1", "WATCH {t}a", "MULTI", "MGET {t}a {t}b", "HSET {t}h f v", "HGETALL {t}h", "EXEC"],
  ["MULTI", "SET {t}a 1", "RESET", "EXEC", "GET {t}a"],
  ["MULTI", "SELECT 0", "SET {t}a 7", "GET {t}a", "EXEC", "GET {t}a"],
  ["MULTI", "BLPOP {t}none 0", "XREAD BLOCK 0 STREAMS {t}s $", "EXEC"],
  ["MULTI", "EVAL return{redis.call('incr',KEYS[1])} 1 {t}n", "EXEC"],
];

describe.skipIf(isMissing("redis-server"))("transactions through the router", () => {
  const beside = routerBesideRedis();

  for (const protocol of ["2", "3"]) {
    test(`every conversation goes as with a bare Redis, with RESP${protocol}`, async () => {
      const [router, redis] = await beside.both();
      for (const commands of CONVERSATIONS) {
        const before = ["FLUSHALL", `HELLO ${protocol}`];
        for (const client of [router, redis]) client.send(pipelined([...before, ...commands]));
        for (const text of [...before, ...commands]) {
          const [ours, theirs] = [await router.reply(), await redis.reply()];
          if (text.startsWith("HELLO")) continue;
          expect(ours, `${text} of ${commands.join("; ")}`).toBe(theirs);
        }
      }
      redis.socket.destroy();
    });
  }

  test("a transaction follows its client's earlier commands and precedes its later ones", async () => {
    const client = await beside.cluster.client();
    for (let round = 0; round < 50; round++) {
      await client.call("DEL {o}n other");
      client.send(
        pipelined([
          ...["INCR {o}n", "SET other 1", "MULTI", "INCR {o}n", "GET {o}n", "EXEC"],
          ...["INCR {o}n", "MULTI", "INCR {o}n", "EXEC", "GET {o}n"],
        ]),
      );
      const replies = await client.replies(11);
      expect(replies[5]).toBe("*2\r\n:2\r\n$1\r\n2\r\n");
      expect(replies.slice(6)).toEqual([
        ":3\r\n",
        "+OK\r\n",
        "+QUEUED\r\n",
        "*1\r\n:4\r\n",
        "$1\r\n4\r\n",
      ]);
    }
  });

  test("keys of another partition are refused with a hint, and nothing is executed", async () => {
    const client = await beside.cluster.client();
    client.send(
      pipelined(["FLUSHALL", "MULTI", "SET a 1", "SET b 1", "SET c 1", "SET d 1", "EXEC"]),
    );
    const replies = await client.replies(7);
    expect(replies[2]).toBe("+QUEUED\r\n");
    expect(replies.slice(3, 6).join("")).toMatch(
      /-CROSSSLOT Keys in request are in different partitions: 'a' in \d, '.' in \d; .*'hash-tag/,
    );
    expect(replies[6]).toBe("-EXECABORT Transaction discarded because of previous errors.\r\n");
    expect(await client.call("DBSIZE")).toBe(":0\r\n");
  });

  test("what concerns the whole cluster or the router itself is refused by name inside a transaction", async () => {
    const client = await beside.cluster.client();
    const commands = [
      "DBSIZE",
      "FLUSHALL",
      "SCAN 0",
      "CLIENT ID",
      "HELLO 3",
      "SUBSCRIBE a",
      "WAIT 0 0",
    ];
    for (const command of [...commands, "SELECT 1", "INFO", "CONFIG GET save"]) {
      client.send(pipelined(["MULTI", command, "EXEC"]));
      const [, refused, aborted] = await client.replies(3);
      const name = command.split(" ")[0]?.toLowerCase() ?? "";
      expect(refused).toMatch(new RegExp(`^-ERR twine: '${name}`));
      expect(aborted).toMatch(/^-EXECABORT /);
    }
    client.send(pipelined(["MULTI", "PSYNC ? -1", "EXEC"]));
    const replies = await client.replies(3);
    expect(replies[1]).toBe("-ERR Command not allowed inside a transaction\r\n");
  });

  test("another client's write to a watched key makes EXEC nil, and none of it happens", async () => {
    const [client, other] = [await beside.cluster.client(), await beside.cluster.client()];
    await client.call("FLUSHALL");
    for (const [protocol, nil] of [
      ["2", "*-1\r\n"],
      ["3", "_\r\n"],
    ] as const) {
      await client.call(`HELLO ${protocol}`);
      await client.call("WATCH {w}a");
      await other.call("SET {w}a 1");
      client.send(pipelined(["MULTI", "SET {w}b 1", "EXEC", "EXISTS {w}b"]));
      expect(await client.replies(4)).toEqual(["+OK\r\n", "+QUEUED\r\n", nil, ":0\r\n"]);
    }
  });

  test("a client that changes its protocol between WATCH and EXEC has to watch anew", async () => {
    const client = await beside.cluster.client();
    await client.call("SET {p}a 1");
    client.send(pipelined(["WATCH {p}a", "HELLO 3", "MULTI", "INCR {p}a", "EXEC"]));
    expect((await client.replies(5))[4]).toBe("_\r\n");
    client.send(pipelined(["WATCH {p}a", "MULTI", "INCR {p}a", "EXEC"]));
    expect((await client.replies(4))[3]).toBe("*1\r\n:2\r\n");
  });

  test("a queue beyond hold-bytes is refused, and its memory is free again afterwards", async () => {
    const small = await startRouterCluster({ partitions: 1, settings: ["hold-bytes 100kb"] });
    const client = await small.client();
    const big = "x".repeat(40_000);
    for (let round = 0; round < 10; round++) {
      client.send(pipelined(["MULTI", `SET a ${big}`, `SET a ${big}`, `SET a ${big}`, "EXEC"]));
      const replies = await client.replies(5);
      expect(replies[2]).toBe("+QUEUED\r\n");
      expect(replies[3]).toMatch(/^-OOM twine: hold-bytes/);
      expect(replies[4]).toMatch(/^-EXECABORT /);
      client.send(pipelined(["MULTI", `SET a ${big}`, "DISCARD"]));
      expect(await client.replies(3)).toEqual(["+OK\r\n", "+QUEUED\r\n", "+OK\r\n"]);
    }
    expect(await client.call("EXISTS a")).toBe(":0\r\n");
  });

  test("the largest open queue gives way to other clients' transactions, blocking commands and held requests", async () => {
    const settings = ["hold-bytes 1mb"];
    const small = await startRouterCluster({ partitions: 1, replicas: 1, settings });
    const [hoarder, honest, other] = [
      await small.client(),
      await small.client(),
      await small.client(),
    ];
    const fill = async (): Promise<void> => {
      hoarder.send(pipelined(["MULTI", `SET a ${"x".repeat(1_040_000)}`]));
      expect(await hoarder.replies(2)).toEqual(["+OK\r\n", "+QUEUED\r\n"]);
    };
    const lost = async (): Promise<void> => {
      // What it sends on is not kept.
      hoarder.send(pipelined([`SET b ${"x".repeat(1_040_000)}`, "EXEC"]));
      expect(await hoarder.replies(2)).toEqual([
        "+QUEUED\r\n",
        "-EXECABORT Transaction discarded because of: OOM twine: hold-bytes is used up\r\n",
      ]);
    };
    await fill();
    const value = "y".repeat(10_000);
    honest.send(pipelined(["MULTI", `SET c ${value}`, "EXEC"]));
    expect((await honest.replies(3))[2]).toBe("*1\r\n+OK\r\n");
    await lost();
    // This one takes the idle connection, so that the next one has to wait for a new one.
    other.send(pipelined(["BLPOP nothing 0"]));
    const link = await small.servers[0]?.link();
    await until("it is blocked", async () => {
      const info = (await link?.call("INFO", "clients")) as string;
      return info.includes("blocked_clients:1");
    });
    await fill();
    expect(await honest.call(`BLPOP ${value} 0.01`)).toBe("*-1\r\n");
    await lost();
    await fill();
    small.view.show([], [null]);
    const held = honest.call(`SET d ${value}`);
    await lost();
    await promoteReplica(small);
    expect(await held).toBe("+OK\r\n");
    expect(await honest.call("EXISTS a b")).toBe(":0\r\n");
  });

  test("a client that leaves in the midst of a transaction leaves nothing behind", async () => {
    const watcher = await beside.cluster.client();
    await watcher.call("FLUSHALL");
    for (let round = 0; round < 20; round++) {
      const client = await beside.cluster.client();
      client.send(pipelined(["WATCH {l}a", "MULTI", "SET {l}a 1"]));
      await client.replies(3);
      client.socket.destroy();
    }
    expect(await watcher.call("EXISTS {l}a")).toBe(":0\r\n");
    // The watching connections go back to the pool or end: the nodes keep no more than a few.
    await until("no key is watched", async () => {
      let watching = 0;
      for (const server of beside.cluster.servers) {
        const list = (await (await server.link()).call("CLIENT", "LIST")) as string;
        watching += list.split("\n").filter((line) => /flags=\S*x/.test(line)).length;
      }
      return watching === 0;
    });
    watcher.send(pipelined(["MULTI", "SET {l}a 2", "EXEC"]));
    expect((await watcher.replies(3))[2]).toBe("*1\r\n+OK\r\n");
  });

  test("connections are used again, one client's transaction after the other's", async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => beside.cluster.client()));
    await clients[0]?.call("FLUSHALL");
    for (let round = 0; round < 20; round++) {
      for (const client of clients) {
        client.send(pipelined(["WATCH {u}n", "MULTI", "INCR {u}n", "EXEC"]));
        await client.replies(4);
      }
    }
    expect(await clients[0]?.call("GET {u}n")).toBe("$3\r\n400\r\n");
    let count = 0;
    for (const server of beside.cluster.servers) {
      const list = (await (await server.link()).call("CLIENT", "LIST")) as string;
      count += list.split("\n").filter((line) => line.includes("name=twine-router")).length;
    }
    expect(count).toBeLessThan(40);
  });

  test("ioredis: multi, watch, a pipeline around a transaction", async () => {
    const redis = new Redis({ port: beside.cluster.port, host: "127.0.0.1" });
    try {
      await redis.flushall();
      expect(await redis.multi().set("{i}a", 1).incr("{i}a").get("{i}a").exec()).toEqual([
        [null, "OK"],
        [null, 2],
        [null, "2"],
      ]);
      await redis.watch("{i}a");
      await redis.incr("{i}a");
      expect(await redis.multi().incr("{i}a").exec()).toBeNull();
      const inline = redis.multi({ pipeline: false });
      const queued = [inline, redis.set("{i}b", 1), redis.incr("{i}b")];
      expect(await Promise.all(queued)).toEqual(["OK", "QUEUED", "QUEUED"]);
      expect(await redis.exec()).toEqual([
        [null, "OK"],
        [null, 2],
      ]);
    } finally {
      redis.disconnect();
    }
  });

  test("node-redis with RESP3: multi, watch in a client of its own", async () => {
    const client = createClient({
      socket: { port: beside.cluster.port, host: "127.0.0.1" },
      RESP: 3,
    });
    await client.connect();
    try {
      await client.flushAll();
      const replies = await client
        .multi()
        .set("{n}a", "1")
        .hSet("{n}h", "f", "v")
        .hGetAll("{n}h")
        .exec();
      expect(replies[0]).toBe("OK");
      expect({ ...(replies[2] as unknown as object) }).toEqual({ f: "v" });
      await client.watch("{n}a");
      await client.set("{n}a", "2");
      await expect(client.multi().set("{n}a", "3").exec()).rejects.toThrow(/watched keys/);
      expect(await client.get("{n}a")).toBe("2");
    } finally {
      client.destroy();
    }
  });
});
