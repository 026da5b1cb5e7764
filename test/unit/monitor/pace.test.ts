// pace.test.ts: which data nodes an alpha asks often, and decides about at once when they answer.
import { expect, test } from "vitest";
import type { ReshardView, View } from "../../../runtime/core/view.ts";
import { firstView } from "../../../runtime/monitor/decide/views/first-view.ts";
import { pendingNodes } from "../../../runtime/monitor/observe/pace.ts";
import { configOf, masterInfo } from "./situations.ts";

const CONFIG = configOf(`
a1=data 0 localhost 7001 0
a2=data 0 localhost 7003 0
b1=data 1 localhost 7002 0
s1=status localhost 7101 0
m1=monitor localhost 7201
`);
const SEEN = new Map(
  ["a1", "a2", "b1"].map((name) => [
    name,
    { reach: "up", info: masterInfo(), askedAtMs: 0 } as const,
  ]),
);

function viewAt(phase: ReshardView["phase"] | undefined): View {
  const first = firstView(CONFIG, "d", "m1", "");
  const nodes = first.nodes.map((node) => {
    const role = node.name === "a2" ? ("replica" as const) : ("master" as const);
    return node.kind === "data" ? { ...node, role, inSync: true } : node;
  });
  const partitions = first.partitions.map((one, at) => ({
    ...one,
    master: at === 0 ? "a1" : "b1",
  }));
  const { hashing } = first;
  if (phase === undefined || hashing === undefined) return { ...first, nodes, partitions };
  const reshard: ReshardView = { token: "t", by: "me", since: "", phase, conf: "", hashing };
  return { ...first, nodes, partitions, reshard };
}

test("masters that serve are asked often only while a resharding switches: clients wait for each of its steps", () => {
  expect(pendingNodes(viewAt(undefined), SEEN)).toEqual(new Set());
  expect(pendingNodes(viewAt("copying"), SEEN)).toEqual(new Set());
  for (const phase of ["pausing", "draining", "fencing", "fenced", "undoing"] as const) {
    expect(pendingNodes(viewAt(phase), SEEN)).toEqual(new Set(["a1", "b1"]));
  }
});
