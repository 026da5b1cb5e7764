// router-replica-reads.test.ts: read-from replica: reads go to a replica while one can serve, and to the master otherwise.
import { describe, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { until, type TestRedis } from "../support/redis-server.ts";
import { startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

/** How often the server has executed GET. */
async function getsOf(server: TestRedis | undefined): Promise<number> {
  const link = await server?.link();
  const stats = (await link?.call("INFO", "commandstats")) as string;
  return Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

function start(): Promise<RouterCluster> {
  return startRouterCluster({
    partitions: 1,
    replicas: 1,
    // A replica without its master says so, instead of answering with what it had.
    redis: ["replica-serve-stale-data no"],
    settings: ["read-from replica"],
  });
}

describe.skipIf(isMissing("redis-server"))("router with read-from replica", () => {
  test("reads go to the replica, writes to the master, and replies keep their order", async () => {
    const cluster = await start();
    const client = await cluster.client();
    const replica = cluster.replicas[0]?.[0];
    await client.call("SET a 1");
    await until("a read reaches the replica", async () => {
      await client.call("GET a");
      return (await getsOf(replica)) > 0;
    });
    const before = await getsOf(cluster.servers[0]);
    for (let round = 0; round < 50; round++) {
      const commands = [
        ["SET", "b", String(round)],
        ["GET", "none"],
        ["INCR", "n"],
        ["GET", "none"],
      ];
      client.send(Buffer.concat(commands.map((args) => encodeCommand(args))));
      const replies = await client.replies(4);
      expect(replies).toEqual(["+OK\r\n", "$-1\r\n", `:${round + 1}\r\n`, "$-1\r\n"]);
    }
    expect(await getsOf(cluster.servers[0])).toBe(before);
    expect(await client.call("MGET b none")).toMatch(/^\*2\r\n/);
  });

  test("a replica that dies or lost its master is passed over without an error at any client", async () => {
    const cluster = await start();
    const client = await cluster.client();
    const [master, replica] = [cluster.servers[0], cluster.replicas[0]?.[0]];
    await client.call("SET a 1");
    await until("a read reaches the replica", async () => {
      await client.call("GET a");
      return (await getsOf(replica)) > 0;
    });
    const reads = async (): Promise<void> => {
      client.send(Buffer.concat(Array.from({ length: 100 }, () => encodeCommand(["GET", "a"]))));
      for (let count = 0; count < 100; count++) expect(await client.reply()).toBe("$1\r\n1\r\n");
    };
    const link = await replica?.link();
    await link?.call("CONFIG", "SET", "replica-serve-stale-data", "no");
    await link?.call("REPLICAOF", "127.0.0.1", "1");
    const before = await getsOf(master);
    await reads();
    expect(await getsOf(master)).toBe(before + 100);
    await link?.call("REPLICAOF", "127.0.0.1", String(master?.port));
    const stale = await getsOf(replica);
    await until("the replica serves again", async () => {
      await reads();
      return (await getsOf(replica)) > stale;
    });
    replica?.signal("SIGSTOP");
    client.send(encodeCommand(["GET", "a"]));
    await (await cluster.client()).call("PING");
    await replica?.kill();
    expect(await client.reply()).toBe("$1\r\n1\r\n");
    await reads();
  });
});
