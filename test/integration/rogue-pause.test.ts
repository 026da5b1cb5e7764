// A pause ends with what it was for. The writes of a rogue master are paused while what it alone holds is saved; when its successor
// dies meanwhile, it must not stay paused: CLIENT PAUSE would last 90 s.
import { expect, test } from "vitest";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster, startedWriter } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

async function isPaused(cluster: FaultCluster, node: string): Promise<boolean> {
  const logs = await Promise.all(["m1", "m2", "m3"].map((name) => cluster.log(name)));
  return logs.flat().some((line) => line["msg"] === "+pause" && line["node"] === node);
}

test.skipIf(isMissing("redis-server"))(
  "the new master dies while the old one is being rescued: all are in sync long before the pause would end",
  { timeout: 180_000 },
  async () => {
    const cluster = await startedCluster(onePartition({ dataNodes: 3, monitors: 3 }));
    const old = (await cluster.partition(0)).master ?? "";
    // What is on the wire when it hangs it executes when it wakes: its own writes, which must be saved.
    const writer = await startedWriter(cluster);
    await until("it holds keys", () => writer.acknowledged.length > 20_000);
    await cluster.pause(old);
    const view = await cluster.viewWhere("another serves", ({ partitions }) => {
      const master = partitions[0]?.master ?? null;
      return master !== null && master !== old;
    });
    const next = view.partitions[0]?.master ?? "";
    await cluster.resume(old);
    await until(`${old} is paused`, () => isPaused(cluster, old));
    await cluster.kill(next);
    await cluster.viewWhere("another serves again", ({ partitions }) => {
      const master = partitions[0]?.master ?? null;
      return master !== null && master !== next;
    });
    await cluster.heal();
    // Within a minute: a node that is paused takes no stream of its master.
    await cluster.viewWhere("all are in sync", ({ state }) => state === "OK", 60_000);
    const count = writer.acknowledged.length;
    await until("writes go on", () => writer.acknowledged.length > count + 500);
    await writer.stop();
    expect((await cluster.partition(0)).dead).toEqual([]);
  },
);
