// router-pub-sub.test.ts: SUBSCRIBE, PUBLISH and their kin through the router, beside what a bare Redis says.
import { createClient } from "@redis/client";
import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { routerBesideRedis } from "../support/router-beside-redis.ts";
import { pipelined, startRouterCluster } from "../support/router-cluster.ts";

/** Each line is sent when all replies to the line before have come; [commands, replies and messages]. */
const CONVERSATIONS: readonly (readonly (readonly [commands: string[], replies: number])[])[] = [
  [[["SUBSCRIBE a b a", "SUBSCRIBE c", "UNSUBSCRIBE b", "UNSUBSCRIBE", "PING", "GET k"], 8]],
  [
    [
      ["PSUBSCRIBE a* b*", "SUBSCRIBE z", "PUNSUBSCRIBE a*", "UNSUBSCRIBE", "PUNSUBSCRIBE", "PING"],
      7,
    ],
  ],
  [[["SSUBSCRIBE a b", "SUBSCRIBE c", "SUNSUBSCRIBE", "UNSUBSCRIBE c", "PING"], 7]],
  [
    [
      ["UNSUBSCRIBE", "PUNSUBSCRIBE x y", "SUNSUBSCRIBE", "SUBSCRIBE", "UNSUBSCRIBE none", "PING"],
      7,
    ],
  ],
  [[["SUBSCRIBE a", "RESET", "PING", "GET k", "SUBSCRIBE b", "QUIT"], 6]],
];
/** A client of RESP2 that is subscribed may not say everything. */
const RESP2_ONLY = [
  [
    "SUBSCRIBE a",
    "GET k",
    "PING",
    "PING hi",
    "PING a b",
    "MULTI",
    "HELLO 3",
    "PUBLISH a x",
    "EXEC",
  ],
];

describe.skipIf(isMissing("redis-server"))("publish and subscribe through the router", () => {
  const beside = routerBesideRedis();

  for (const protocol of ["2", "3"]) {
    test(`subscriptions begin and end as with a bare Redis, with RESP${protocol}`, async () => {
      for (const lines of CONVERSATIONS) {
        const [router, redis] = await beside.both();
        for (const client of [router, redis]) await client.call(`HELLO ${protocol}`);
        for (const [commands, count] of lines) {
          for (const client of [router, redis]) client.send(pipelined(commands));
          const ours: string[] = [];
          const theirs: string[] = [];
          for (let number = 0; number < count; number++) {
            ours.push(await router.reply());
            theirs.push(await redis.reply());
          }
          // Redis ends all of a kind in no order of its own.
          const sorted = (replies: string[]): string[] =>
            commands.includes("UNSUBSCRIBE") || commands.includes("SUNSUBSCRIBE")
              ? replies.map((reply) => reply.replace(/\$\d+\r\n[abc]\*?\r\n/, ""))
              : replies;
          expect(sorted(ours), commands.join("; ")).toEqual(sorted(theirs));
        }
        router.socket.destroy();
        redis.socket.destroy();
      }
    });

    test(`messages come as from a bare Redis, with RESP${protocol}`, async () => {
      const [router, redis] = await beside.both();
      const [publisher, there] = await beside.both();
      for (const client of [router, redis]) {
        await client.call(`HELLO ${protocol}`);
        client.send(pipelined(["SUBSCRIBE news", "PSUBSCRIBE n*", "SSUBSCRIBE shard"]));
        for (let count = 0; count < 3; count++) await client.reply();
      }
      const calls = [
        "PUBLISH news hello",
        "PUBLISH nothing x",
        "PUBLISH other y",
        "SPUBLISH shard z",
      ];
      for (const command of calls) {
        expect(await publisher.call(command), command).toBe(await there.call(command));
      }
      const [ours, theirs]: [string[], string[]] = [[], []];
      for (let count = 0; count < 4; count++) {
        ours.push(await router.reply());
        theirs.push(await redis.reply());
      }
      // Channels lie in different partitions, so their messages have no common order.
      expect(ours.sort()).toEqual(theirs.sort());
      for (const client of [redis, there]) client.socket.destroy();
      router.socket.destroy();
    });
  }

  test("a subscribed client of RESP2 is refused what Redis refuses", async () => {
    const [router, redis] = await beside.both();
    for (const commands of RESP2_ONLY) {
      for (const client of [router, redis]) client.send(pipelined(commands));
      for (const command of commands) {
        expect(await router.reply(), command).toBe(await redis.reply());
      }
    }
    router.socket.destroy();
    redis.socket.destroy();
  });

  test("a client of RESP3 goes on with everything else while it is subscribed", async () => {
    const [client, publisher] = [await beside.cluster.client(), await beside.cluster.client()];
    await client.call("HELLO 3");
    expect(await client.call("SUBSCRIBE {r}ch")).toMatch(/^>3/);
    client.send(pipelined(["SET {r}a 1", "MULTI", "INCR {r}a", "PUBLISH {r}ch inside", "EXEC"]));
    const replies: string[] = [];
    for (let count = 0; count < 6; count++) replies.push(await client.reply());
    const messages = replies.filter((reply) => reply.startsWith(">"));
    expect(messages).toEqual([">3\r\n$7\r\nmessage\r\n$5\r\n{r}ch\r\n$6\r\ninside\r\n"]);
    expect(replies.filter((reply) => !reply.startsWith(">"))).toEqual([
      ...["+OK\r\n", "+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n:2\r\n:1\r\n"],
    ]);
    expect(await publisher.call("PUBLISH {r}ch outside")).toBe(":1\r\n");
    expect(await client.reply()).toContain("outside");
    client.socket.destroy();
  });

  test("ten thousand messages over several channels come whole and in the order of each channel", async () => {
    const [all, publisher] = [await beside.cluster.client(), await beside.cluster.client()];
    const single = await Promise.all(Array.from({ length: 5 }, () => beside.cluster.client()));
    await all.call("PSUBSCRIBE order:*");
    for (const [index, client] of single.entries()) await client.call(`SUBSCRIBE order:${index}`);
    const messages = 10_000;
    const commands = Array.from({ length: messages }, (_, at) => `PUBLISH order:${at % 5} ${at}`);
    publisher.send(pipelined(commands));
    for (let count = 0; count < messages; count++) expect(await publisher.reply()).toBe(":2\r\n");
    const numberIn = (reply: string): number => Number(/\r\n(\d+)\r\n$/.exec(reply)?.[1]);
    const last = [-1, -1, -1, -1, -1];
    for (let count = 0; count < messages; count++) {
      const number = numberIn(await all.reply());
      expect(number).toBeGreaterThan(last[number % 5] ?? 0);
      last[number % 5] = number;
    }
    for (const [index, client] of single.entries()) {
      for (let at = index; at < messages; at += 5) expect(numberIn(await client.reply())).toBe(at);
    }
    for (const client of [all, ...single]) client.socket.destroy();
  });

  test("PUBSUB counts clients, wherever their channels lie", async () => {
    const clients = await Promise.all(Array.from({ length: 3 }, () => beside.cluster.client()));
    const asker = await beside.cluster.client();
    for (const client of clients) {
      client.send(
        pipelined(["SUBSCRIBE count:a count:b", "PSUBSCRIBE count:*", "SSUBSCRIBE count:s"]),
      );
      for (let count = 0; count < 4; count++) await client.reply();
    }
    expect(await asker.call("PUBSUB NUMSUB count:a count:b none")).toBe(
      "*6\r\n$7\r\ncount:a\r\n:3\r\n$7\r\ncount:b\r\n:3\r\n$4\r\nnone\r\n:0\r\n",
    );
    expect(await asker.call("PUBSUB SHARDNUMSUB count:s")).toBe("*2\r\n$7\r\ncount:s\r\n:3\r\n");
    expect(await asker.call("PUBSUB NUMPAT")).toBe(":1\r\n");
    const channels = await asker.call("PUBSUB CHANNELS count:*");
    expect(channels).toMatch(/^\*2\r\n/);
    expect(await asker.call("PUBLISH count:a x")).toBe(":6\r\n");
    expect(await asker.call("PUBSUB HELP")).toMatch(/^\*/);
    for (const client of clients) client.socket.destroy();
    await until("nobody is subscribed", async () => {
      return (await asker.call("PUBSUB NUMSUB count:a")).endsWith(":0\r\n");
    });
    await until("no pattern is left", async () => (await asker.call("PUBSUB NUMPAT")) === ":0\r\n");
  });

  test("what nodes say of their keys comes from every partition", async () => {
    const client = await beside.cluster.client();
    for (const server of beside.cluster.servers) {
      await (await server.link()).call("CONFIG", "SET", "notify-keyspace-events", "KEA");
    }
    await client.call("HELLO 3");
    await client.call("PSUBSCRIBE __keyevent@*__:set");
    for (let key = 0; key < 10; key++) client.send(pipelined([`SET event:${key} 1`]));
    const replies = await client.replies(20);
    expect(replies.filter((reply) => reply.includes("event:")).length).toBe(10);
    for (const server of beside.cluster.servers) {
      await (await server.link()).call("CONFIG", "SET", "notify-keyspace-events", "");
    }
    client.socket.destroy();
  });

  test("ioredis and node-redis subscribe, receive and unsubscribe", async () => {
    const address = { host: "127.0.0.1", port: beside.cluster.port };
    const [redis, publisher] = [new Redis(address), new Redis(address)];
    const client = createClient({ socket: address, RESP: 3 });
    client.on("error", () => undefined);
    await client.connect();
    const got: string[] = [];
    try {
      redis.on("message", (channel, message) => got.push(`ioredis ${channel} ${message}`));
      redis.on("pmessage", (_, channel, message) => got.push(`pattern ${channel} ${message}`));
      expect(await redis.subscribe("c1", "c2", "c3")).toBe(3);
      expect(await redis.psubscribe("c*")).toBe(4);
      await client.subscribe("c1", (message, channel) => got.push(`node ${channel} ${message}`));
      expect(await publisher.publish("c1", "hi")).toBe(3);
      await until("all have it", () => got.length === 3);
      expect(got.sort()).toEqual(["ioredis c1 hi", "node c1 hi", "pattern c1 hi"]);
      await client.unsubscribe("c1");
      expect(await redis.unsubscribe("c1")).toBe(3);
      expect(await publisher.publish("c1", "again")).toBe(1);
      expect(await redis.punsubscribe("c*")).toBe(2);
      expect(await redis.unsubscribe("c2", "c3")).toBe(0);
      expect(await redis.set("k", "v")).toBe("OK");
    } finally {
      redis.disconnect();
      publisher.disconnect();
      client.destroy();
    }
  });

  test("fifty thousand channels are subscribed and left in one command each", async () => {
    const client = await beside.cluster.client();
    const names = Array.from({ length: 50_000 }, (_, index) => `many:${index}`);
    for (const word of ["SUBSCRIBE", "UNSUBSCRIBE"]) {
      client.send(encodeCommand([word, ...names]));
      for (const name of names) expect(await client.reply()).toContain(name);
    }
    expect(await client.call("PING")).toBe("+PONG\r\n");
    client.socket.destroy();
  });

  test("a subscriber that reads nothing is ended before its messages fill the memory", async () => {
    const small = await startRouterCluster({ partitions: 1 });
    const [slow, publisher] = [await small.client(), await small.client()];
    await slow.call("SUBSCRIBE flood");
    slow.socket.pause();
    const message = "x".repeat(1024 * 1024);
    let sent = 0;
    await until("the slow one is gone", async () => {
      sent++;
      return (await publisher.call(`PUBLISH flood ${message}`)) === ":0\r\n";
    });
    // Its 32 MB, and what the sockets and the node hold on the way.
    expect(sent).toBeLessThan(150);
    expect(await publisher.call("PING")).toBe("+PONG\r\n");
  });
});

describe.skipIf(isMissing("redis-server"))("subscriptions while a master dies", () => {
  test("they go on at the new master, and other partitions' never stopped", async () => {
    const cluster = await startRouterCluster({ partitions: 2, replicas: 1 });
    const [two, three, publisher] = [
      ...[await cluster.client(), await cluster.client(), await cluster.client()],
    ];
    if (!two || !three || !publisher) throw new Error("no client");
    await three.call("HELLO 3");
    const names = Array.from({ length: 10 }, (_, index) => `ch${index}`);
    for (const client of [two, three]) {
      client.send(pipelined([`SUBSCRIBE ${names.join(" ")}`]));
      for (const name of names) expect(await client.reply()).toContain(name);
    }
    three.send(pipelined(["PSUBSCRIBE c*"]));
    await three.reply();
    await cluster.servers[0]?.kill();
    const [replica] = cluster.replicas[0] ?? [];
    const second = cluster.servers[1]?.port ?? 0;
    await (await replica?.link())?.call("REPLICAOF", "NO", "ONE");
    const nodes = [
      { port: replica?.port ?? 0, partition: 0 },
      { port: second, partition: 1 },
    ];
    cluster.view.show(nodes, [replica?.port ?? 0, second]);
    await until("all are subscribed again", async () => {
      const counts = await publisher.call(`PUBSUB NUMSUB ${names.join(" ")}`);
      const patterns = (await (await replica?.link())?.call("PUBSUB", "NUMPAT")) === 1;
      return patterns && counts.split(":2\r\n").length === names.length + 1;
    });
    for (const name of names) expect(await publisher.call(`PUBLISH ${name} m`)).toBe(":3\r\n");
    for (const [client, count] of [
      [two, 10],
      [three, 20],
    ] as const) {
      const got: string[] = [];
      while (got.length < count) got.push(await client.reply());
      for (const name of names) expect(got.some((reply) => reply.includes(name))).toBe(true);
    }
    three.send(pipelined(["UNSUBSCRIBE ch0", "GET x"]));
    expect(await three.reply()).toContain("unsubscribe");
    expect(await three.reply()).toBe("_\r\n");
  });

  test("a SUBSCRIBE waits for a master, and is refused after hold-for", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["hold-for 500ms"] });
    const [client, publisher] = [await cluster.client(), await cluster.client()];
    const node = { port: cluster.servers[0]?.port ?? 0, partition: 0 };
    await client.call("PING");
    cluster.view.show([node], [null]);
    expect(await client.call("SUBSCRIBE a b")).toMatch(/^-TWINEDOWN /);
    client.send(pipelined(["SUBSCRIBE c"]));
    await publisher.call("PING");
    cluster.view.show([node], [node.port]);
    expect(await client.reply()).toContain("subscribe");
    await publisher.call("PUBLISH a no");
    expect(await publisher.call("PUBLISH c yes")).toBe(":1\r\n");
    expect(await client.reply()).toContain("yes");
  });
});
