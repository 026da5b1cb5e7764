// A master that hangs for less than down-after, with ack-replicas 0: its writes wait in the router while the view suspends it,
// and go on at the same master.
import { expect, test } from "vitest";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { RawClient } from "../support/router-cluster.ts";

test("writes to a master that hangs for a while wait, are executed once, and nobody takes its place", async () => {
  // Long ones, so that a busy machine sees the time between suspended and replaced.
  const conf = onePartition({ dataNodes: 2, monitors: 3 }, "down-after 12s", "lease 6s");
  const cluster = await startedCluster(conf);
  const { master } = await cluster.partition(0);
  const clients = await Promise.all([1, 2].map(() => RawClient.open(cluster.port("r1"))));
  const [early, late] = clients;
  expect(await early?.call("INCR counter")).toBe(":1\r\n");

  await cluster.pause(master ?? "");
  const sentBefore = early?.call("INCR counter");
  await cluster.viewWhere("suspended", ({ partitions }) => partitions[0]?.suspended === true);
  const sentMeanwhile = late?.call("INCR counter");
  const read = await RawClient.open(cluster.port("r1"));
  await cluster.resume(master ?? "");
  await cluster.viewWhere("served", ({ partitions }) => partitions[0]?.suspended !== true);
  expect([await sentBefore, await sentMeanwhile].toSorted()).toEqual([":2\r\n", ":3\r\n"]);
  expect(await read.call("GET counter")).toBe("$1\r\n3\r\n");
  expect((await cluster.partition(0)).master).toBe(master);
  for (const client of [...clients, read]) client.socket.destroy();
}, 120_000);
