// router-transactions.test.ts: MULTI, EXEC, WATCH through the router, beside what a bare Redis says to the same bytes.
import { createClient } from "@redis/client";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { RawClient, startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

const pipeline = (commands: readonly string[]): Buffer =>
  Buffer.concat(commands.map((command) => encodeCommand(command.split(" "))));

async function repliesOf(client: RawClient, count: number): Promise<string[]> {
  const replies: string[] = [];
  while (replies.length < count) replies.push(await client.reply());
  return replies;
}

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
  const cleanUps: (() => Promise<void>)[] = [];
  let cluster: RouterCluster;
  let plain: TestRedis;
  beforeAll(async () => {
    const cleanUp = (task: () => Promise<void>): void => void cleanUps.push(task);
    cluster = await startRouterCluster({ settings: ["hash-tag {}"], cleanUp });
    plain = await startRedis([], cleanUp);
  });
  afterAll(async () => {
    for (const task of cleanUps.reverse()) await task();
  });

  for (const protocol of ["2", "3"]) {
    test(`every conversation goes as with a bare Redis, with RESP${protocol}`, async () => {
      const [router, redis] = [await cluster.client(), await RawClient.open(plain.port)];
      for (const commands of CONVERSATIONS) {
        const before = ["FLUSHALL", `HELLO ${protocol}`];
        for (const client of [router, redis]) client.send(pipeline([...before, ...commands]));
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
    const client = await cluster.client();
    for (let round = 0; round < 50; round++) {
      await client.call("DEL {o}n other");
      client.send(
        pipeline([
          ...["INCR {o}n", "SET other 1", "MULTI", "INCR {o}n", "GET {o}n", "EXEC"],
          ...["INCR {o}n", "MULTI", "INCR {o}n", "EXEC", "GET {o}n"],
        ]),
      );
      const replies = await repliesOf(client, 11);
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
    const client = await cluster.client();
    client.send(
      pipeline(["FLUSHALL", "MULTI", "SET a 1", "SET b 1", "SET c 1", "SET d 1", "EXEC"]),
    );
    const replies = await repliesOf(client, 7);
    expect(replies[2]).toBe("+QUEUED\r\n");
    expect(replies.slice(3, 6).join("")).toMatch(
      /-CROSSSLOT Keys in request are in different partitions: 'a' in \d, '.' in \d; with 'hash-tag/,
    );
    expect(replies[6]).toBe("-EXECABORT Transaction discarded because of previous errors.\r\n");
    expect(await client.call("DBSIZE")).toBe(":0\r\n");
  });

  test("what concerns the whole cluster or the router itself is refused by name inside a transaction", async () => {
    const client = await cluster.client();
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
      client.send(pipeline(["MULTI", command, "EXEC"]));
      const [, refused, aborted] = await repliesOf(client, 3);
      const name = command.split(" ")[0]?.toLowerCase() ?? "";
      expect(refused).toMatch(new RegExp(`^-ERR twine: '${name}`));
      expect(aborted).toMatch(/^-EXECABORT /);
    }
    client.send(pipeline(["MULTI", "PSYNC ? -1", "EXEC"]));
    const replies = await repliesOf(client, 3);
    expect(replies[1]).toBe("-ERR Command not allowed inside a transaction\r\n");
  });

  test("another client's write to a watched key makes EXEC nil, and none of it happens", async () => {
    const [client, other] = [await cluster.client(), await cluster.client()];
    await client.call("FLUSHALL");
    for (const [protocol, nil] of [
      ["2", "*-1\r\n"],
      ["3", "_\r\n"],
    ] as const) {
      await client.call(`HELLO ${protocol}`);
      await client.call("WATCH {w}a");
      await other.call("SET {w}a 1");
      client.send(pipeline(["MULTI", "SET {w}b 1", "EXEC", "EXISTS {w}b"]));
      expect(await repliesOf(client, 4)).toEqual(["+OK\r\n", "+QUEUED\r\n", nil, ":0\r\n"]);
    }
  });

  test("a client that changes its protocol between WATCH and EXEC has to watch anew", async () => {
    const client = await cluster.client();
    await client.call("SET {p}a 1");
    client.send(pipeline(["WATCH {p}a", "HELLO 3", "MULTI", "INCR {p}a", "EXEC"]));
    expect((await repliesOf(client, 5))[4]).toBe("_\r\n");
    client.send(pipeline(["WATCH {p}a", "MULTI", "INCR {p}a", "EXEC"]));
    expect((await repliesOf(client, 4))[3]).toBe("*1\r\n:2\r\n");
  });

  test("a client that leaves in the midst of a transaction leaves nothing behind", async () => {
    const watcher = await cluster.client();
    await watcher.call("FLUSHALL");
    for (let round = 0; round < 20; round++) {
      const client = await cluster.client();
      client.send(pipeline(["WATCH {l}a", "MULTI", "SET {l}a 1"]));
      await repliesOf(client, 3);
      client.socket.destroy();
    }
    expect(await watcher.call("EXISTS {l}a")).toBe(":0\r\n");
    // The watching connections go back to the pool or end: the nodes keep no more than a few.
    await until("no key is watched", async () => {
      let watching = 0;
      for (const server of cluster.servers) {
        const list = (await (await server.link()).call("CLIENT", "LIST")) as string;
        watching += list.split("\n").filter((line) => /flags=\S*x/.test(line)).length;
      }
      return watching === 0;
    });
    watcher.send(pipeline(["MULTI", "SET {l}a 2", "EXEC"]));
    expect((await repliesOf(watcher, 3))[2]).toBe("*1\r\n+OK\r\n");
  });

  test("connections are used again, one client's transaction after the other's", async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => cluster.client()));
    await clients[0]?.call("FLUSHALL");
    for (let round = 0; round < 20; round++) {
      for (const client of clients) {
        client.send(pipeline(["WATCH {u}n", "MULTI", "INCR {u}n", "EXEC"]));
        await repliesOf(client, 4);
      }
    }
    expect(await clients[0]?.call("GET {u}n")).toBe("$3\r\n400\r\n");
    let count = 0;
    for (const server of cluster.servers) {
      const list = (await (await server.link()).call("CLIENT", "LIST")) as string;
      count += list.split("\n").filter((line) => line.includes("name=twine-router")).length;
    }
    expect(count).toBeLessThan(40);
  });

  test("ioredis: multi, watch, a pipeline around a transaction", async () => {
    const redis = new Redis({ port: cluster.port, host: "127.0.0.1" });
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
    const client = createClient({ socket: { port: cluster.port, host: "127.0.0.1" }, RESP: 3 });
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

/** Promotes the first replica of partition 0 and shows it as the master. */
async function promote(cluster: RouterCluster): Promise<TestRedis> {
  const replica = cluster.replicas[0]?.[0];
  if (replica === undefined) throw new Error("there is no replica");
  await (await replica.link()).call("REPLICAOF", "NO", "ONE");
  cluster.view.show([{ port: replica.port, partition: 0 }], [replica.port]);
  return replica;
}

async function replyCount(client: RawClient, commands: readonly string[]): Promise<string[]> {
  client.send(pipeline(commands));
  return repliesOf(client, commands.length);
}

describe.skipIf(isMissing("redis-server"))("transactions while a master dies", () => {
  test("one that was not sent is held and executed once at the new master", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const [client, other] = [await cluster.client(), await cluster.client()];
    client.send(pipeline(["SET n 1", "MULTI", "INCR n"]));
    await repliesOf(client, 3);
    await cluster.servers[0]?.kill();
    cluster.view.show([], [null]);
    client.send(pipeline(["INCR n", "EXEC", "GET n"]));
    expect(await client.reply()).toBe("+QUEUED\r\n");
    expect(await other.call("PING")).toBe("+PONG\r\n");
    await promote(cluster);
    expect(await repliesOf(client, 2)).toEqual(["*2\r\n:2\r\n:3\r\n", "$1\r\n3\r\n"]);
  });

  test("one that was on the wire has an unknown fate, and the client hears that", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const client = await cluster.client();
    await client.call("SET n 1");
    await replyCount(client, ["MULTI", "INCR n", "EXEC"]);
    cluster.servers[0]?.signal("SIGSTOP");
    client.send(pipeline(["MULTI", "INCR n", "EXEC", "GET n"]));
    await repliesOf(client, 2);
    await cluster.servers[0]?.kill();
    await promote(cluster);
    expect(await client.reply()).toMatch(
      /^-UNCERTAIN n\d+ of partition 0 gave no reply, the command may have been executed/,
    );
    expect(await client.reply()).toBe("$1\r\n2\r\n");
  });

  test("one that only reads is repeated, and with retry-unknown idempotent one that may be done twice", async () => {
    for (const [settings, commands, reply] of [
      [[], ["MULTI", "GET n", "STRLEN n", "EXEC"], "*2\r\n$1\r\n1\r\n:1\r\n"],
      [
        ["retry-unknown idempotent"],
        ["MULTI", "SET n 2", "GET n", "EXEC"],
        "*2\r\n+OK\r\n$1\r\n2\r\n",
      ],
      [["retry-unknown idempotent"], ["MULTI", "SET n 2", "INCR n", "EXEC"], "-UNCERTAIN "],
    ] as const) {
      const cluster = await startRouterCluster({ partitions: 1, replicas: 1, settings });
      const client = await cluster.client();
      await client.call("SET n 1");
      await replyCount(client, ["MULTI", "GET n", "EXEC"]);
      cluster.servers[0]?.signal("SIGSTOP");
      client.send(pipeline(commands));
      await repliesOf(client, 3);
      await cluster.servers[0]?.kill();
      await promote(cluster);
      expect((await client.reply()).slice(0, reply.length)).toBe(reply);
      await cluster.close();
    }
  });

  test("a master that was paused through its replacement executes nothing of it when it wakes", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const client = await cluster.client();
    const old = cluster.servers[0];
    await client.call("SET n 1");
    await replyCount(client, ["WATCH n", "MULTI", "INCR n", "EXEC"]);
    await client.call("WATCH n");
    old?.signal("SIGSTOP");
    await promote(cluster);
    expect(await replyCount(client, ["MULTI", "INCR n", "EXEC"])).toEqual([
      ...["+OK\r\n", "+QUEUED\r\n", "*-1\r\n"],
    ]);
    old?.signal("SIGCONT");
    expect(await (await old?.link())?.call("GET", "n")).toBe("2");
    expect(await client.call("GET n")).toBe("$1\r\n2\r\n");
  });

  test("a WATCH does not outlive its master: EXEC gives nil, and works when it is tried anew", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const clients = await Promise.all([cluster.client(), cluster.client(), cluster.client()]);
    const [killed, moved, unsure] = clients;
    for (const client of clients) {
      await client.call("SET n 1");
      await client.call("WATCH n");
    }
    // A router that can't be sure of its view can't be sure of what it watches.
    cluster.view.confirm(false);
    expect((await replyCount(unsure, ["MULTI", "INCR n", "EXEC"]))[2]).toBe("*-1\r\n");
    cluster.view.confirm(true);
    await cluster.servers[0]?.kill();
    expect((await replyCount(killed, ["MULTI", "INCR n", "EXEC"]))[2]).toBe("*-1\r\n");
    await promote(cluster);
    expect((await replyCount(moved, ["MULTI", "INCR n", "EXEC"]))[2]).toBe("*-1\r\n");
    for (const [index, client] of clients.entries()) {
      const replies = await replyCount(client, ["WATCH n", "MULTI", "INCR n", "EXEC"]);
      expect(replies[3]).toBe(`*1\r\n:${index + 2}\r\n`);
    }
  });

  test("a node that turns out to be a replica has executed nothing: it is sent to the master", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const client = await cluster.client();
    const [old, replica] = [cluster.servers[0], cluster.replicas[0]?.[0]];
    await client.call("SET n 1");
    await replyCount(client, ["MULTI", "INCR n", "EXEC"]);
    await (await replica?.link())?.call("REPLICAOF", "NO", "ONE");
    const link = await old?.link();
    await link?.call("REPLICAOF", "127.0.0.1", replica?.port ?? 0);
    client.send(pipeline(["MULTI", "INCR n", "EXEC"]));
    await repliesOf(client, 2);
    await until("it was refused there", async () => {
      const stats = (await link?.call("INFO", "errorstats")) as string;
      return stats.includes("errorstat_READONLY") || stats.includes("errorstat_EXECABORT");
    });
    cluster.view.show([{ port: replica?.port ?? 0, partition: 0 }], [replica?.port ?? 0]);
    expect(await client.reply()).toBe("*1\r\n:3\r\n");
  });

  test("with ack-replicas a transaction is acknowledged when the replica has it, or says that it hasn't", async () => {
    const settings = ["ack-replicas 1", "ack-timeout 1s"];
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1, settings });
    const client = await cluster.client();
    const replica = cluster.replicas[0]?.[0];
    const link = await replica?.link();
    for (let round = 1; round <= 100; round++) {
      const replies = await replyCount(client, ["MULTI", "INCR n", "SET last 1", "EXEC"]);
      expect(replies[3]).toBe(`*2\r\n:${round}\r\n+OK\r\n`);
      expect(await link?.call("GET", "n")).toBe(String(round));
    }
    replica?.signal("SIGSTOP");
    const replies = await replyCount(client, ["MULTI", "INCR n", "EXEC", "MULTI", "GET n", "EXEC"]);
    expect(replies[2]).toBe("-UNDERREPLICATED held by 0 of 1\r\n");
    expect(replies[5]).toBe("*1\r\n$3\r\n101\r\n");
    replica?.signal("SIGCONT");
  });

  test("a counter that ten clients raise by WATCH is exact over a master's death", async () => {
    // Method: each reads under WATCH and writes the next number; what was acknowledged must be in the counter, and only
    // an UNCERTAIN may be there besides.
    const settings = ["ack-replicas 1", "ack-timeout 5s"];
    const cluster = await startRouterCluster({ partitions: 1, replicas: 2, settings });
    const state = { acknowledged: 0, uncertain: 0, nils: 0, isOver: false };
    const raise = async (): Promise<void> => {
      const client = await cluster.client();
      while (!state.isOver) {
        await client.call("WATCH n");
        const seen = Number(/\r\n(\d+)\r\n/.exec(await client.call("GET n"))?.[1] ?? 0);
        const [, , reply = ""] = await replyCount(client, ["MULTI", `SET n ${seen + 1}`, "EXEC"]);
        if (reply === "*1\r\n+OK\r\n") state.acknowledged++;
        else if (reply === "*-1\r\n") state.nils++;
        else {
          expect(reply).toMatch(/^-(UNCERTAIN|UNDERREPLICATED) /);
          state.uncertain++;
        }
      }
    };
    const raisers = Array.from({ length: 10 }, raise);
    await until("they are at work", () => state.acknowledged > 200);
    await cluster.servers[0]?.kill();
    // The one that has more takes over, as a monitor would choose.
    const [first, second] = cluster.replicas[0] ?? [];
    if (first === undefined || second === undefined) throw new Error("no replicas");
    const offsets: number[] = [];
    for (const replica of [first, second]) {
      const info = (await (await replica.link()).call("INFO", "replication")) as string;
      offsets.push(Number(/slave_repl_offset:(\d+)/.exec(info)?.[1]));
    }
    const [best, other] =
      (offsets[0] ?? 0) >= (offsets[1] ?? 0) ? [first, second] : [second, first];
    await (await best.link()).call("REPLICAOF", "NO", "ONE");
    await (await other.link()).call("REPLICAOF", "127.0.0.1", best.port);
    const nodes = [best, other].map(({ port }) => ({ port, partition: 0 }));
    cluster.view.show(nodes, [best.port]);
    const before = state.acknowledged;
    await until("they go on", () => state.acknowledged > before + 200);
    state.isOver = true;
    await Promise.all(raisers);
    const link = await best.link();
    const total = Number(await link.call("GET", "n"));
    expect(total).toBeGreaterThanOrEqual(state.acknowledged);
    expect(total).toBeLessThanOrEqual(state.acknowledged + state.uncertain);
    expect(state.nils).toBeGreaterThan(0);
  });
});
