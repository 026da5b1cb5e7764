// router-acknowledge.test.ts: with ack-replicas no write is acknowledged before enough replicas hold it.
import { describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { until, type TestRedis } from "../support/redis-server.ts";
import { pipelined, startRouterCluster } from "../support/router-cluster.ts";

async function blockedCount(server: TestRedis | undefined): Promise<number> {
  const link = await server?.link();
  const info = (await link?.call("INFO", "clients")) as string;
  return Number(/blocked_clients:(\d+)/.exec(info)?.[1]);
}

describe.skipIf(isMissing("redis-server"))("router with ack-replicas", () => {
  test("what is acknowledged is on the replica at that moment", async () => {
    const cluster = await startRouterCluster({
      partitions: 1,
      replicas: 1,
      settings: ["ack-replicas 1"],
    });
    const client = await cluster.client();
    const replica = await cluster.replicas[0]?.[0]?.link();
    for (let round = 1; round <= 200; round++) {
      client.send(pipelined([`INCR n`, `SET last ${round}`, "GET last"]));
      expect(await client.replies(3)).toEqual([
        `:${round}\r\n`,
        "+OK\r\n",
        `$${String(round).length}\r\n${round}\r\n`,
      ]);
      expect(await replica?.call("GET", "n")).toBe(String(round));
      expect(await replica?.call("GET", "last")).toBe(String(round));
    }
  });

  test("replies wait for the replica, those of reads in the batch too, and come in their order", async () => {
    const cluster = await startRouterCluster({
      partitions: 1,
      replicas: 1,
      settings: ["ack-replicas 1", "ack-timeout 60s"],
    });
    const [client, other] = [await cluster.client(), await cluster.client()];
    const replica = cluster.replicas[0]?.[0];
    await client.call("SET a 1");
    replica?.signal("SIGSTOP");
    client.send(pipelined(["GET a", "INCR a", "GET a"]));
    let isAnswered = false;
    const replies = client.replies(3).then((list) => {
      isAnswered = true;
      return list;
    });
    await until("the master waits", async () => (await blockedCount(cluster.servers[0])) === 1);
    await other.call("PING");
    expect(isAnswered).toBe(false);
    replica?.signal("SIGCONT");
    expect(await replies).toEqual(["$1\r\n1\r\n", ":2\r\n", "$1\r\n2\r\n"]);
  });

  test("too few replicas: every write of the batch says so, reads and refused commands keep their replies", async () => {
    const cluster = await startRouterCluster({
      partitions: 1,
      replicas: 2,
      settings: ["ack-replicas 2", "ack-timeout 100ms"],
    });
    const client = await cluster.client();
    await client.call("SET a x");
    cluster.replicas[0]?.[1]?.signal("SIGSTOP");
    client.send(pipelined(["SET b 1", "INCR a", "GET a", "DEL none"]));
    expect(await client.replies(4)).toEqual([
      "-UNDERREPLICATED held by 1 of 2\r\n",
      "-ERR value is not an integer or out of range\r\n",
      "$1\r\nx\r\n",
      "-UNDERREPLICATED held by 1 of 2\r\n",
    ]);
    // It was written all the same, and reads alone never wait.
    expect(await client.call("GET b")).toBe("$1\r\n1\r\n");
    cluster.replicas[0]?.[1]?.signal("SIGCONT");
    await until("both replicas hold writes again", async () => {
      return (await client.call("SET b 2")) === "+OK\r\n";
    });
  });

  test("an MSET that one partition's replica doesn't hold says which keys", async () => {
    const cluster = await startRouterCluster({
      partitions: 2,
      replicas: 1,
      settings: ["ack-replicas 1", "ack-timeout 100ms"],
    });
    const client = await cluster.client();
    cluster.replicas[1]?.[0]?.signal("SIGSTOP");
    const reply = await client.call("MSET k0 1 k1 1 k2 1 k3 1 k4 1 k5 1");
    expect(reply).toMatch(
      /^-PARTIAL MSET was done for 6 of 6 keys, done but held by too few replicas for partition 1 /,
    );
    expect(reply).toMatch(/UNDERREPLICATED held by 0 of 1\r\n$/);
    cluster.replicas[1]?.[0]?.signal("SIGCONT");
  });

  test("a master that dies before the replica has confirmed leaves the write UNCERTAIN, and the read is repeated", async () => {
    const cluster = await startRouterCluster({
      partitions: 1,
      replicas: 1,
      settings: ["ack-replicas 1", "ack-timeout 60s"],
    });
    const client = await cluster.client();
    const [master, replica] = [cluster.servers[0], cluster.replicas[0]?.[0]];
    await client.call("SET a 1");
    replica?.signal("SIGSTOP");
    client.send(pipelined(["INCR a", "GET b"]));
    await until("the master waits", async () => (await blockedCount(master)) === 1);
    await master?.kill();
    replica?.signal("SIGCONT");
    const promoted = await replica?.link();
    await promoted?.call("REPLICAOF", "NO", "ONE");
    const port = replica?.port ?? 0;
    cluster.view.show([{ port, partition: 0 }], [port]);
    expect(await client.reply()).toMatch(/^-UNCERTAIN [\w-]+ of partition 0 gave no reply/);
    expect(await client.reply()).toBe("$-1\r\n");
  });
});
