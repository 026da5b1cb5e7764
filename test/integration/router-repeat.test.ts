// router-repeat.test.ts: what the router sends again when it can't know whether it was executed.
import { describe, expect, test } from "vitest";
import { IDEMPOTENT } from "../../runtime/route/commands/repeatable.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, type TestRedis } from "../support/redis-server.ts";
import { pipelined, startRouterCluster } from "../support/router-cluster.ts";
import { seededRandom, type SeededRandom } from "../support/seeded-random.ts";

const ONE = { partitions: 1, settings: ["retry-unknown idempotent"] };

interface Connections {
  readonly routerCount: number;
  /** How often one was ended on request. */
  readonly killCount: number;
}

async function connectionsOf(server: TestRedis | undefined): Promise<Connections> {
  const link = await server?.link();
  const list = (await link?.call("CLIENT", "LIST")) as string;
  const stats = (await link?.call("INFO", "commandstats")) as string;
  const ofRouter = list.split("\n").filter((line) => line.includes("name=twine-router"));
  const killCount = Number(/cmdstat_client\|kill:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  return { routerCount: ofRouter.length, killCount };
}

describe.skipIf(isMissing("redis-server"))("router with retry-unknown idempotent", () => {
  test("writes that may be done twice are repeated in their order, the others get UNCERTAIN", async () => {
    const cluster = await startRouterCluster(ONE);
    const [server] = cluster.servers;
    const client = await cluster.client();
    await client.call("SET a 0");
    server?.signal("SIGSTOP");
    client.send(pipelined(["SET a 1", "INCR n", "SET a 2", "SADD s x", "SET a 3 NX", "GET a"]));
    await (await cluster.client()).call("PING");
    await server?.kill();
    client.send(pipelined(["SET a 4", "GET a"]));
    await server?.start();
    const replies = await client.replies(8);
    expect(replies[1]).toMatch(/^-UNCERTAIN \S+ of partition 0 gave no reply/);
    expect(replies[4]).toMatch(/^-UNCERTAIN \S+ of partition 0 gave no reply/);
    expect(replies.filter((_, index) => index !== 1 && index !== 4)).toEqual([
      "+OK\r\n",
      "+OK\r\n",
      ":1\r\n",
      "$1\r\n2\r\n",
      "+OK\r\n",
      "$1\r\n4\r\n",
    ]);
  });

  test("before the same node gets anything again, the connection that broke is ended there", async () => {
    const cluster = await startRouterCluster(ONE);
    const [server] = cluster.servers;
    const node = { port: server?.port ?? 0, partition: 0 };
    const [client, other] = [await cluster.client(), await cluster.client()];
    await client.call("SET a 0");
    server?.signal("SIGSTOP");
    client.send(pipelined(["SET a old"]));
    other.send(pipelined(["APPEND b x"]));
    await (await cluster.client()).call("PING");
    // A silent master that loses its part: nobody waits for it any longer.
    cluster.view.show([node], [null]);
    expect(await other.reply()).toMatch(/^-UNCERTAIN \S+ of partition 0 gave no reply/);
    client.send(pipelined(["SET a new"]));
    cluster.view.show([node], [node.port]);
    server?.signal("SIGCONT");
    expect(await client.replies(2)).toEqual(["+OK\r\n", "+OK\r\n"]);
    expect(await other.call("GET a")).toBe("$3\r\nnew\r\n");
    expect(await connectionsOf(server)).toEqual({ routerCount: 1, killCount: 1 });
  });

  test("the requests of a silent master are done at the one that takes its place", async () => {
    const cluster = await startRouterCluster(ONE);
    const [server] = cluster.servers;
    const [client, other] = [await cluster.client(), await cluster.client()];
    await client.call("SET a 0");
    server?.signal("SIGSTOP");
    client.send(pipelined(["SET a 1", "GET a"]));
    other.send(pipelined(["INCR n"]));
    await (await cluster.client()).call("PING");
    const promoted = await startRedis();
    cluster.view.show([{ port: promoted.port, partition: 0 }], [promoted.port]);
    expect(await client.replies(2)).toEqual(["+OK\r\n", "$1\r\n1\r\n"]);
    expect(await other.reply()).toMatch(/^-UNCERTAIN/);
    expect(await (await promoted.link()).call("GET", "a")).toBe("1");
  });

  test.each(["reads", "idempotent"])(
    "with %s a read before a later write of its own client, which may have been executed, is as the page says",
    async (retryUnknown) => {
      const settings = [`retry-unknown ${retryUnknown}`];
      const cluster = await startRouterCluster({ partitions: 1, settings });
      const [server] = cluster.servers;
      const [client, other] = [await cluster.client(), await cluster.client()];
      await client.call("SET f 1");
      server?.signal("SIGSTOP");
      client.send(pipelined(["GET f", "GET g", "SET f 2", "GET f"]));
      other.send(pipelined(["GET f"]));
      await (await cluster.client()).call("PING");
      // As if the master had executed and replicated the write before it died.
      const promoted = await startRedis();
      await (await promoted.link()).call("SET", "f", "2");
      cluster.view.show([{ port: promoted.port, partition: 0 }], [promoted.port]);
      const [before, elsewhere, write, after] = await client.replies(4);
      const uncertain = /^-UNCERTAIN \S+ of partition 0 gave no reply, a later write of the/;
      expect(before).toMatch(retryUnknown === "reads" ? uncertain : /^\$1\r\n2\r\n$/);
      expect(elsewhere).toBe("$-1\r\n");
      expect(write).toMatch(retryUnknown === "reads" ? /^-UNCERTAIN/ : /^\+OK/);
      expect([after, await other.reply()]).toEqual(["$1\r\n2\r\n", "$1\r\n2\r\n"]);
    },
  );

  test("every run of the writes that may be repeated leaves the same, done once or twice", async () => {
    const settings = ["enable-debug-command yes"];
    const servers = [await startRedis(settings), await startRedis(settings)];
    const [once, twice] = await Promise.all(servers.map((server) => server.link()));
    const seeded = seededRandom(41);
    for (let round = 0; round < 1000; round++) {
      const writes = Array.from({ length: 1 + seeded.below(8) }, () => randomWrite(seeded));
      // EXPIREAT of a key that is not there yet does nothing; it would when a later write of the run has made the key.
      const run = [["MSET", "e0", "1", "e1", "1"], ...writes];
      for (const args of run)
        await once?.call(args[0] ?? "", ...args.slice(1)).catch(() => undefined);
      for (const args of [...run, ...run])
        await twice?.call(args[0] ?? "", ...args.slice(1)).catch(() => undefined);
      const digest = [await once?.call("DEBUG", "DIGEST"), await twice?.call("DEBUG", "DIGEST")];
      expect([run.join(" | "), digest[0]]).toEqual([run.join(" | "), digest[1]]);
    }
  });
});

/** Every command of the table, on a few keys of the right and sometimes of the wrong type. */
function randomWrite(seeded: SeededRandom): string[] {
  const names = [...IDEMPOTENT.keys()];
  const name = names[seeded.below(names.length)] ?? "set";
  const kind = KEY_KINDS[name] ?? "k";
  const key = `${kind}${seeded.below(2)}`;
  const small = (): string => String(seeded.below(4));
  const member = (): string => `m${seeded.below(3)}`;
  const rest: Readonly<Record<string, () => string[]>> = {
    setex: () => ["1000000", small()],
    psetex: () => ["1000000000", small()],
    mset: () => [small(), `k${seeded.below(2)}`, small()],
    setrange: () => [small(), "xyz"],
    setbit: () => [small(), seeded.isOnceIn(2) ? "1" : "0"],
    del: () => [],
    unlink: () => [],
    flushdb: () => [],
    persist: () => [],
    hset: () => [member(), small()],
    hmset: () => [member(), small()],
    zadd: () => [small(), member()],
    geoadd: () => [small(), small(), member()],
    expireat: () => ["4102444800"],
    pexpireat: () => ["4102444800000"],
    zremrangebyscore: () => ["1", "2"],
    xdel: () => ["1-1"],
    xack: () => ["g", "1-1"],
    set: () => [small()],
  };
  const args = rest[name]?.() ?? [member()];
  return name === "flushdb" ? [name] : [name, key, ...args];
}

const KEY_KINDS: Readonly<Record<string, string>> = {
  hdel: "h",
  hset: "h",
  hmset: "h",
  srem: "s",
  sadd: "s",
  zrem: "z",
  zadd: "z",
  geoadd: "z",
  zremrangebyscore: "z",
  xdel: "x",
  xack: "x",
  pfadd: "p",
  expireat: "e",
  pexpireat: "e",
};
