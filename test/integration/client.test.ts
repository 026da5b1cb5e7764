// client.test.ts: TwineClient on real redis-servers: what commands do, and what happens while masters are missing.
import { describe, expect, onTestFinished, test } from "vitest";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { TwineClient, type TwineClientOptions } from "../../runtime/client/twine-client.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { PublishedCluster } from "../support/published-cluster.ts";

function clientOf(options: TwineClientOptions): TwineClient {
  const client = new TwineClient(options);
  onTestFinished(() => {
    client.disconnect();
  });
  return client;
}

async function bothOf(
  options: Parameters<typeof PublishedCluster.start>[0] = {},
  settings: Partial<TwineClientOptions> = {},
): Promise<{ readonly cluster: PublishedCluster; readonly client: TwineClient }> {
  const cluster = await PublishedCluster.start(options);
  const client = clientOf({ conf: cluster.confFile, ...settings });
  await client.ready();
  return { cluster, client };
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => `no error but ${JSON.stringify(value)}`,
    (error: unknown) => error,
  );

describe.skipIf(isMissing("redis-server"))("TwineClient", () => {
  test("has ioredis's typed commands, and shapes arguments and replies as it does", async () => {
    const { client } = await bothOf();
    expect(await client.set("a", "ä€", "EX", 100)).toBe("OK");
    expect(await client.get("a")).toBe("ä€");
    expect(await client.getBuffer("a")).toEqual(Buffer.from("ä€"));
    expect(await client.hset("h", { one: 1, two: "2" })).toBe(2);
    expect(await client.hgetall("h")).toEqual({ one: "1", two: "2" });
    expect(await client.zadd("z", "1", "x", "2.5", "y")).toBe(2);
    expect(await client.zrange("z", "0", "-1", "WITHSCORES")).toEqual(["x", "1", "y", "2.5"]);
    expect(await client.get("nothing")).toBeNull();
    expect(await client.call("SET", "b", Buffer.from([0, 255]))).toBe("OK");
    expect(await client.getBuffer("b")).toEqual(Buffer.from([0, 255]));
    const error = await failure(client.lpush("a", "1"));
    expect(error).toMatchObject({ name: "ReplyError", message: /^WRONGTYPE / });
  });

  test("keys of several partitions: split, merged in order, added up", async () => {
    const { client, cluster } = await bothOf({ partitions: 3 });
    const keys = Array.from({ length: 30 }, (_, index) => `k${index}`);
    expect(await client.mset(new Map(keys.map((key) => [key, `v${key}`])))).toBe("OK");
    expect(await client.mget("none", ...keys)).toEqual([null, ...keys.map((key) => `v${key}`)]);
    expect(await client.exists(...keys, "none")).toBe(30);
    expect(await client.dbsize()).toBe(30);
    const sizes = await Promise.all(
      cluster.servers.map(async ([server], partition) => {
        const link = await server?.link();
        await link?.call("SELECT", partition);
        return link?.call("DBSIZE");
      }),
    );
    expect(Math.min(...sizes.map(Number))).toBeGreaterThan(0);
    const found = new Set<string>();
    for (let cursor = "0", isFirst = true; isFirst || cursor !== "0"; isFirst = false) {
      const [next, some] = await client.scan(cursor);
      for (const key of some) found.add(key);
      cursor = next;
    }
    expect([...found].sort()).toEqual([...keys].sort());
    expect(keys).toContain(await client.randomkey());
    expect(await client.del(...keys)).toBe(30);
    expect(await client.flushall()).toBe("OK");
  });

  test("a pipeline's results come in its order, each with its own error", async () => {
    const { client } = await bothOf();
    const results = await client
      .pipeline()
      .set("a", "x")
      .incr("a")
      .incr("b")
      .hset("h", { f: 1 })
      .hgetall("h")
      .mget("a", "b", "c")
      .watch("a")
      .exec();
    expect(results?.map(([error, value]) => (error === null ? value : error.message))).toEqual([
      "OK",
      "ERR value is not an integer or out of range",
      1,
      1,
      { f: "1" },
      ["x", "1", null],
      expect.stringMatching(/^'watch' is not supported: .* client\.isolated\(key/),
    ]);
    const empty = client.pipeline();
    expect(await empty.exec()).toEqual([]);
    expect(await empty.exec()).toEqual([]);
  });

  test("a transaction is executed whole in one partition, and refused over two before anything is sent", async () => {
    const { client } = await bothOf({ settings: ["hash-tag {}"] });
    const done = await client.multi().set("{u}a", "1").incr("{u}a").hset("{u}h", "f", 1).exec();
    expect(done).toEqual([
      [null, "OK"],
      [null, 2],
      [null, 1],
    ]);
    const keys = Array.from({ length: 8 }, (_, index) => `{${index}}`);
    const chain = client.multi();
    for (const key of keys) chain.set(key, "1");
    const refused = await failure(chain.exec());
    expect(String(refused)).toMatch(/EXECABORT/);
    const { previousErrors } = refused as { previousErrors: readonly Error[] };
    expect(previousErrors.map(codeOf)).toContain("CROSSSLOT");
    expect(await client.exists(...keys)).toBe(0);
    const inside = await client.multi().set("{u}a", "x").incr("{u}a").get("{u}a").exec();
    expect(inside?.map(([error, value]) => error?.message ?? value)).toEqual([
      "OK",
      "ERR value is not an integer or out of range",
      "x",
    ]);
    const noKey = await failure(client.multi().dbsize().exec());
    const noKeyErrors = (noKey as { previousErrors: readonly Error[] }).previousErrors;
    expect(noKeyErrors.map(codeOf)).toContain("NOT_SUPPORTED");
  });

  test("a script of defineCommand runs where its keys are", async () => {
    const { client } = await bothOf();
    const lua = "return redis.call('incrby', KEYS[1], ARGV[1])";
    client.defineCommand("addTo", { numberOfKeys: 1, lua });
    const { addTo } = client as unknown as {
      addTo: (key: string, count: number) => Promise<number>;
    };
    for (const key of ["a", "b", "c", "d", "a"]) await addTo.call(client, key, 3);
    expect(await client.mget("a", "b", "d")).toEqual(["6", "3", "3"]);
  });

  test("is told of its cluster by text, or by the status nodes alone", async () => {
    const { cluster, client } = await bothOf({ partitions: 3, settings: ["hash crc16"] });
    for (let count = 0; count < 20; count++) await client.set(`k${count}`, count);
    const [status] = cluster.status.servers;
    const ways: TwineClientOptions[] = [
      { confText: cluster.conf },
      { statusNodes: [`127.0.0.1:${status?.port ?? 0}`] },
      { statusNodes: [{ host: "localhost", port: status?.port ?? 0, db: 0 }], cluster: "twine" },
    ];
    for (const way of ways) {
      const other = clientOf(way);
      // Not ready yet: it waits.
      const values = await Promise.all(
        Array.from({ length: 20 }, (_, count) => other.get(`k${count}`)),
      );
      expect(values).toEqual(values.map((_, count) => String(count)));
    }
    expect(() => new TwineClient({})).toThrow(/was not told of its cluster/);
    expect(() => new TwineClient({ conf: "/nowhere/twine.conf" })).toThrow(/no such file/);
    expect(() => new TwineClient({ confText: "a=data x" })).toThrow(/twine.conf:1:/);
  });

  test("without a master commands are held, told of once, and done in their order when there is one", async () => {
    const { client, cluster } = await bothOf({ partitions: 1, nodes: 2 });
    const events: string[] = [];
    client.on("held", ({ partition }) => events.push(`held ${partition}`));
    client.on("failover", ({ from, to }) => events.push(`failover ${from} ${to}`));
    await client.set("a", "0");
    await cluster.show([null]);
    await until("the view has no master", () => client.view?.partitions[0]?.master === null);
    const held = Array.from({ length: 10 }, (_, count) => client.append("a", `${count}`));
    const read = client.get("a");
    await until("it is held", () => events.length === 1);
    const replica = await cluster.server(0, 2).link();
    await until("the replica has it", async () => (await replica.call("GET", "a")) === "0");
    await replica.call("REPLICAOF", "NO", "ONE");
    await cluster.show([2]);
    await Promise.all(held);
    expect(await read).toBe("00123456789");
    expect(events).toEqual(["held 0", "failover p0-1 p0-2"]);
  });

  test("held for too long or beyond hold-bytes a command gets TWINEDOWN; other partitions never wait", async () => {
    const { client, cluster } = await bothOf({}, { holdForMs: 300, holdBytes: 2000 });
    await cluster.show([1, null]);
    await until("the view is seen", () => client.view?.state === "HALT");
    const sets = Array.from({ length: 8 }, (_, key) =>
      client.set(`k${key}`, "1").catch((error: unknown) => codeOf(error)),
    );
    expect(new Set(await Promise.all(sets))).toEqual(new Set(["OK", "TWINEDOWN"]));
    const big = await Promise.all(
      Array.from({ length: 8 }, (_, key) =>
        client.set(`k${key}`, "x".repeat(3000)).catch((error: unknown) => String(error)),
      ),
    );
    expect(big.filter((text) => text.includes("hold-bytes is used up")).length).toBeGreaterThan(0);
    const partial = await failure(client.mset("k0", 1, "k1", 1, "k2", 1, "k3", 1, "k4", 1));
    expect(codeOf(partial)).toBe("PARTIAL");
    expect(codeOf(await failure(client.mget("k0", "k1", "k2", "k3", "k4")))).toBe("TWINEDOWN");
  });

  test("READONLY and MASTERDOWN prove that nothing was done: commands and transactions are sent again", async () => {
    const { client, cluster } = await bothOf({ partitions: 1 });
    const link = await cluster.server(0, 1).link();
    await client.set("a", "1");
    await link.call("REPLICAOF", "127.0.0.1", "1");
    await link.call("CONFIG", "SET", "replica-serve-stale-data", "no");
    const all = Promise.all([
      client.incr("a"),
      client.get("a"),
      client.multi().incr("a").get("a").exec(),
      client.incr("a"),
    ]);
    const errors = async (): Promise<string> => (await link.call("INFO", "errorstats")) as string;
    await until("the dead node said no", async () => /errorstat_MASTERDOWN/.test(await errors()));
    await link.call("REPLICAOF", "NO", "ONE");
    expect(await all).toEqual([
      2,
      "2",
      [
        [null, 3],
        [null, "3"],
      ],
      4,
    ]);
  });

  test("when a connection breaks, reads on the wire are repeated and writes get UNCERTAIN", async () => {
    const { client, cluster } = await bothOf({ partitions: 1 });
    const server = cluster.server(0, 1);
    await client.set("a", "1");
    server.signal("SIGSTOP");
    const results = Promise.all([
      client.get("b"),
      failure(client.get("a")),
      failure(client.set("a", "2")),
      client.get("b"),
    ]);
    // The commands are on the wire after this turn.
    await new Promise((resolve) => setImmediate(resolve));
    await server.kill();
    await server.start();
    const [first, overtaken, write, last] = await results;
    expect(String(overtaken)).toMatch(/UNCERTAIN .* a later write of the same connection/);
    expect([first, last]).toEqual([null, null]);
    expect(codeOf(write)).toBe("UNCERTAIN");
    expect(String(write)).toMatch(/UNCERTAIN p0-1 of partition 0 gave no reply/);
    // A transaction begins when what was called before it is answered, and has a connection of its own: there is one.
    expect(await client.multi().set("a", "3").exec()).toEqual([[null, "OK"]]);
    server.signal("SIGSTOP");
    const transaction = failure(client.multi().set("a", "4").exec());
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    await server.kill();
    await server.start();
    expect(codeOf(await transaction)).toBe("UNCERTAIN");
  });

  test("with retry-unknown idempotent, repeated writes never mix with those of the connection before", async () => {
    // Method: a paused server keeps what the first connection sent; it wakes after the repeat has been asked for.
    const settings = { retryUnknown: "idempotent" } as const;
    const { client, cluster } = await bothOf({ partitions: 1 }, settings);
    const server = cluster.server(0, 1);
    await client.set("a", "0");
    server.signal("SIGSTOP");
    const old = client.set("a", "old");
    const unsafe = failure(client.append("b", "x"));
    await new Promise((resolve) => setImmediate(resolve));
    await cluster.show([null]);
    expect(codeOf(await unsafe)).toBe("UNCERTAIN");
    const newer = client.set("a", "new");
    await cluster.show([1]);
    server.signal("SIGCONT");
    expect(await Promise.all([old, newer])).toEqual(["OK", "OK"]);
    expect(await client.get("a")).toBe("new");
    const stats = (await (await server.link()).call("INFO", "commandstats")) as string;
    expect(stats).toMatch(/cmdstat_client\|kill:calls=1/);
  });

  test("while no majority confirms the view writes wait, and reads of other keys go on", async () => {
    // On a busy machine the status node may take long to be heard again.
    const { client, cluster } = await bothOf({ partitions: 1 }, { holdForMs: 60_000 });
    await client.set("a", "1");
    await client.set("b", "1");
    const [status] = cluster.status.servers;
    status?.signal("SIGSTOP");
    const order: string[] = [];
    // A confirmation may still lie in a socket: the write that counts is one that waits for longer than the lease.
    await until("a write is held", async () => {
      const write = client.set("a", "2").then(() => order.push("write"));
      const isLate = new Promise((resolve) =>
        systemClock.after(1500, () => {
          resolve(true);
        }),
      );
      return Promise.race([write.then(() => false), isLate.then(() => true)]);
    });
    order.length = 0;
    const behind = client.get("a").then((value) => order.push(`a ${String(value)}`));
    expect(await client.get("b")).toBe("1");
    expect(order).toEqual([]);
    status?.signal("SIGCONT");
    await behind;
    expect(order).toEqual(["write", "a 2"]);
  });

  test("ack-replicas: a write that too few replicas hold is UNDERREPLICATED", async () => {
    const { client, cluster } = await bothOf(
      { partitions: 1, nodes: 2 },
      { ackReplicas: 1, ackTimeoutMs: 200 },
    );
    const link = await cluster.server(0, 1).link();
    await until("the replica is online", async () =>
      ((await link.call("INFO", "replication")) as string).includes("state=online"),
    );
    await until("a write is held by the replica", async () => {
      const result = await client.set("a", "1").catch((error: unknown) => codeOf(error));
      return result === "OK";
    });
    cluster.server(0, 2).signal("SIGSTOP");
    const error = await failure(client.set("a", "2"));
    expect(codeOf(error)).toBe("UNDERREPLICATED");
    expect(String(error)).toContain("held by 0 of 1");
    cluster.server(0, 2).signal("SIGCONT");
  });

  test("read-from replica: reads go to the replica, and to the master when it is silent", async () => {
    const { client, cluster } = await bothOf({ partitions: 1, nodes: 2 }, { readFrom: "replica" });
    const replica = await cluster.server(0, 2).link();
    await client.set("a", "1");
    await until("the replica has it", async () => (await replica.call("GET", "a")) === "1");
    const callsOf = async (): Promise<number> => {
      const stats = (await replica.call("INFO", "commandstats")) as string;
      return Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    };
    // Until the connection to the replica is open, the master answers.
    await until("the replica is read from", async () => {
      const count = await callsOf();
      await client.get("a");
      return (await callsOf()) > count;
    });
    const before = await callsOf();
    for (let count = 0; count < 10; count++) expect(await client.get("a")).toBe("1");
    expect(await callsOf()).toBe(before + 10);
    cluster.server(0, 2).signal("SIGSTOP");
    expect(await client.get("a")).toBe("1");
    expect(await client.get("a")).toBe("1");
    cluster.server(0, 2).signal("SIGCONT");
  });

  test("by another hashing than the keys lie by nothing is read or written", async () => {
    const cluster = await PublishedCluster.start({ partitions: 2 });
    const client = clientOf({ confText: `${cluster.conf}hash crc16\n` });
    const error = await failure(client.get("a"));
    expect(codeOf(error)).toBe("HASHING_DIFFERS");
    expect(codeOf(await failure(client.ready()))).toBe("HASHING_DIFFERS");
    const right = clientOf({ conf: cluster.confFile });
    await right.set("a", "1");
    await cluster.show([1, 1], {
      hashing: builtinHashing({ hash: { kind: "builtin", name: "crc16" }, partitions: 2 }),
    });
    await until("it is seen", async () => codeOf(await failure(right.get("a"))) === "TWINEDOWN");
  });

  test("without status nodes it says why, and goes on when they come", async () => {
    const cluster = await PublishedCluster.start({ partitions: 1 });
    const [status] = cluster.status.servers;
    status?.signal("SIGSTOP");
    const client = clientOf({ conf: cluster.confFile });
    const why = new Promise<Error>((resolve) => client.once("error", resolve));
    const held = client.set("a", "1");
    expect(codeOf(await why)).toBe("STATUS_UNREACHABLE");
    status?.signal("SIGCONT");
    expect(await held).toBe("OK");
  });

  test("quit answers what is owed; disconnect fails it; afterwards nothing is taken", async () => {
    const { client, cluster } = await bothOf();
    const values = Array.from({ length: 100 }, (_, count) => client.set(`k${count}`, count));
    let isClosed = false;
    client.on("close", () => (isClosed = true));
    expect(await client.quit()).toBe("OK");
    expect(new Set(await Promise.all(values))).toEqual(new Set(["OK"]));
    expect(isClosed).toBe(true);
    expect(codeOf(await failure(client.get("k1")))).toBe("CLIENT_CLOSED");
    const other = clientOf({ conf: cluster.confFile });
    await other.ready();
    await other.set("a", 1);
    await cluster.show([null, null]);
    await until("the view has no master", () => other.view?.state === "HALT");
    const held = failure(other.get("a"));
    other.disconnect();
    expect(String(await held)).toContain("Connection is closed.");
  });
});
