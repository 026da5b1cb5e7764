// router-role-change.test.ts: a node changes its role while a client's pipeline is on its way to it, and the router doesn't
// know yet. What the node refused is sent again, and the client must not see that: neither in a read nor in an order.
import { describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { pipelined, startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";
import { stepwisePort } from "../support/stepwise-port.ts";

/** The cluster's only server is master no more, follows another one and is in sync with it; the view does not say so. */
async function demoteUnseen(cluster: RouterCluster) {
  const old = await cluster.servers[0]?.link();
  const master = await startRedis(["repl-diskless-sync-delay 0"]);
  await (await master.link()).call("SET", "f", "0");
  await old?.call("REPLICAOF", "127.0.0.1", String(master.port));
  await until("it is in sync", async () =>
    JSON.stringify(await old?.call("INFO", "replication")).includes("master_link_status:up"),
  );
  return master;
}

describe.skipIf(isMissing("redis-server"))("a node that changes its role unseen", () => {
  test.each([0, 1])(
    "a read behind a write that was refused is not answered by the node that refused it, ack-replicas %i",
    async (acks) => {
      const settings = [`ack-replicas ${acks}`];
      const cluster = await startRouterCluster({ partitions: 1, replicas: acks, settings });
      const client = await cluster.client();
      const master = await demoteUnseen(cluster);
      client.send(pipelined(["GET f", "SET f 1", "GET f", "INCR f", "GET f"]));
      expect(await client.reply()).toBe("$1\r\n0\r\n");
      cluster.view.show([{ port: master.port, partition: 0 }], [master.port]);
      expect(await client.replies(4)).toEqual(["+OK\r\n", "$1\r\n1\r\n", ":2\r\n", "$1\r\n2\r\n"]);
    },
  );

  test("one that becomes master in the midst of a pipeline does not turn its order round", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const [server] = cluster.servers;
    const link = await server?.link();
    await link?.call("REPLICAOF", "127.0.0.1", "1");
    const seen: string[] = [];
    const port = await stepwisePort(server?.port ?? 0, async (name) => {
      // The first write was refused: now it is made master, and the second one would be done.
      if (name === "RPUSH" && seen.push(name) === 2) await link?.call("REPLICAOF", "NO", "ONE");
    });
    cluster.view.show([], [null]);
    const client = await cluster.client();
    client.send(pipelined(["RPUSH l 1", "RPUSH l 2", "RPUSH l 3", "LRANGE l 0 -1"]));
    expect(await (await cluster.client()).call("PING")).toBe("+PONG\r\n");
    cluster.view.show([{ port, partition: 0 }], [port]);
    const list = "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n";
    expect(await client.replies(4)).toEqual([":1\r\n", ":2\r\n", ":3\r\n", list]);
  });
});
