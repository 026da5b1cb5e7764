// client-role-change.test.ts: a node changes its role while a TwineClient's pipeline is on its way to it, and the client
// doesn't know yet. What the node refused is sent again, and the program must not see that: neither in a read nor in an order.
import { describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { stepwisePort } from "../support/stepwise-port.ts";
import { clusterAndClient, untilInSync } from "../support/twine-clients.ts";

describe.skipIf(isMissing("redis-server"))("a node that changes its role unseen", () => {
  test("a read behind a write that was refused is not answered by the node that refused it", async () => {
    const { cluster, client } = await clusterAndClient({ partitions: 1, nodes: 2 });
    const [old, next] = [await cluster.server(0, 1).link(), await cluster.server(0, 2).link()];
    await untilInSync(old);
    await client.set("f", "0");
    await until("it is there", async () => (await next.call("DBSIZE")) === 1);
    await next.call("REPLICAOF", "NO", "ONE");
    await old.call("REPLICAOF", "127.0.0.1", String(cluster.server(0, 2).port));
    await untilInSync(next);
    const replies = Promise.all([
      client.get("f"),
      client.set("f", "1"),
      client.get("f"),
      client.incr("f"),
      client.get("f"),
    ]);
    await until("the old master refused", async () =>
      JSON.stringify(await old.call("INFO", "errorstats")).includes("READONLY"),
    );
    await cluster.show([2]);
    expect(await replies).toEqual(["0", "OK", "1", 2, "2"]);
  });

  test("one that becomes master in the midst of a pipeline does not turn its order round", async () => {
    const { cluster, client } = await clusterAndClient({ partitions: 1 });
    const server = cluster.server(0, 1);
    const link = await server.link();
    await cluster.show([null]);
    await until("the client knows", () => client.view?.partitions[0]?.master === null);
    await link.call("REPLICAOF", "127.0.0.1", "1");
    const seen: string[] = [];
    const port = await stepwisePort(server.port, async (name) => {
      if (name === "rpush" && seen.push(name) === 2) await link.call("REPLICAOF", "NO", "ONE");
    });
    const replies = Promise.all([
      client.rpush("l", "1"),
      client.rpush("l", "2"),
      client.rpush("l", "3"),
      client.lrange("l", 0, -1),
    ]);
    await cluster.show([1], {
      nodes: [
        {
          ...{ name: "p0-1", kind: "data", host: "localhost", port, db: 0, partition: 0 },
          ...{ role: "master", inSync: true, runId: null, since: "" },
        },
      ],
    });
    expect(await replies).toEqual([1, 2, 3, ["1", "2", "3"]]);
  });
});
