import { expect, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import { firstView } from "../../runtime/monitor/decide/views/first-view.ts";
import { Connection } from "./connection.ts";
import type { DataNode } from "./data-node.ts";
import { World } from "./world.ts";

/** A world of three data nodes that stands still but for what a test does to it. */
function standstill() {
  const scenario = { partitions: 1, nodesPerPartition: 3, statusNodes: 3, ackReplicas: 0 };
  const world = new World({ seed: 1, scenario });
  const { checks, config, monitors } = world;
  const [monitor] = monitors;
  if (monitor === undefined) throw new Error("the world has no monitor");
  const first = firstView(config, "digest", monitor.name, "");
  let count = 0;
  const choose = (
    change: Partial<View["partitions"][number]>,
    a1: Partial<View["nodes"][number]> = {},
  ): void => {
    count += 1;
    const partitions = first.partitions.map((partition) => ({ ...partition, ...change }));
    const nodes = first.nodes.map((node) => (node.name === "a1" ? { ...node, ...a1 } : node));
    const view: View = { ...first, revision: count, partitions, nodes };
    const ballot = { count, proposer: monitor.name };
    const value = { heartbeat: count, epoch: 1, revision: count, body: JSON.stringify(view) };
    for (const name of ["s1", "s2"]) {
      checks.register.vote(name, { ballot, bodyBallot: ballot, value, members: {} });
    }
  };
  const nodeOf = (name: string): DataNode => {
    const node = world.dataNodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(name);
    return node;
  };
  const promote = (name: string): void => {
    const node = nodeOf(name);
    const reported = `twined:${monitor.name}:1`;
    checks.replicaOf(node, new Connection(1, reported, monitor, 1, node, world.network), null);
  };
  const later = (): Promise<boolean> =>
    world.scheduler.run(() => false, world.scheduler.nowMs + 100);
  return { checks, choose, nodeOf, promote, later };
}

test("a node that hears of its promotion when another serves in its place takes no write from that one", async () => {
  const { checks, choose, nodeOf, promote, later } = standstill();
  choose({ promoting: "a2" });
  await later();
  choose({ promoting: "a3" });
  promote("a3");
  choose({ master: "a3" });
  await later();
  promote("a2");
  await later();
  checks.sent(1);
  checks.wrote(nodeOf("a3"), [1]);
  expect(checks.violations).toEqual([]);
  checks.sent(2);
  checks.wrote(nodeOf("a2"), [2]);
  expect(checks.violations).toEqual(["a2 executed a write that was sent when a3 was master"]);
});

test("a master that has restarted empty is not whole because a view still tells it as master", () => {
  const { checks, choose, nodeOf } = standstill();
  const node = nodeOf("a1");
  node.start();
  checks.lostData(node, 5);
  const seen = { role: "master", inSync: true, runId: node.runId } as const;
  choose({ master: "a1", masterRunId: "the run before" }, seen);
  expect([...checks.wounded]).toEqual(["a1"]);
  // Chosen again, as it is now, it is what the others follow.
  choose({ master: "a1", masterRunId: node.runId }, seen);
  expect([...checks.wounded]).toEqual([]);
});
