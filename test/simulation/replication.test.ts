import { expect, test } from "vitest";
import type { DataNode } from "./data-node.ts";
import { World } from "./world.ts";

test("a node that loses its master while it loads a copy asks for another when it has loaded this one", async () => {
  // Method: a load that takes longer than the wait before a new connection; the link breaks in the middle of it.
  const scenario = { partitions: 1, nodesPerPartition: 2, syncMs: 20_000, backlogSize: 20 };
  const { dataNodes, scheduler } = new World({ seed: 1, scenario });
  const [master, replica] = dataNodes as [DataNode, DataNode];
  for (const node of dataNodes) node.start();
  const untilSo = (isSo: () => boolean): Promise<boolean> => scheduler.run(isSo, 100_000);
  master.replication.promote();
  master.replication.append([1, 2, 3]);
  replica.replication.follow(master.address);
  expect(await untilSo(() => replica.isLoading)).toBe(true);
  master.replication.dropReplicas();
  const isAskedAgain = (): boolean => master.replication.replicas().length > 0;
  await untilSo(() => isAskedAgain() || !replica.isLoading);
  expect(isAskedAgain()).toBe(false);
  master.replication.append([4]);
  expect(await untilSo(() => replica.replication.isLinkUp)).toBe(true);
  expect(replica.replication.writes).toEqual([1, 2, 3, 4]);
});
