// What may begin, and why the rest waits.
import { describe, expect, test } from "vitest";
import { decideSteps, type RollingInput } from "../../../infra/plan/rolling/decide-steps.ts";
import type { NodeNeed } from "../../../infra/plan/rolling/node-needs.ts";
import type { NodeView, PartitionView } from "../../../runtime/core/view.ts";

const RESTART: NodeNeed = { kind: "restart", why: ["tcp-backlog is taken at the start"] };
const NAMES = ["a1", "a2", "a3"];

function node(name: string, more: Partial<NodeView> = {}): NodeView {
  const role = name === "a1" ? "master" : "replica";
  return { name, kind: "data", partition: 0, role, inSync: true, ...more } as NodeView;
}

function partition(more: Partial<PartitionView> = {}): PartitionView {
  return { index: 0, master: "a1", ...more } as PartitionView;
}

function decide(more: Partial<RollingInput> = {}) {
  return decideSteps({
    view: { partitions: [partition()], nodes: NAMES.map((name) => node(name)) },
    nodes: NAMES.map((name) => ({ name, partition: 0, need: RESTART })),
    pendingElsewhere: new Set(),
    busy: new Set(),
    locked: new Set(),
    partitionsAtOnce: 4,
    isForced: false,
    ...more,
  });
}

const own = (name: string) => [{ name, partition: 0, need: RESTART }];

describe("which step comes next", () => {
  test("the last replica first, and the others wait for it", () => {
    expect(decide()).toEqual({
      steps: [{ kind: "restart", node: "a3", partition: 0 }],
      waits: [
        { node: "a1", why: "a3 comes first", isTurn: false },
        { node: "a2", why: "a3 comes first", isTurn: false },
      ],
    });
  });

  test("the master last, handed over first: to one that needs nothing any more before one that does", () => {
    expect(decide({ nodes: own("a1") }).steps).toEqual([
      { kind: "hand-over", node: "a1", partition: 0, candidates: ["a2", "a3"] },
    ]);
    const view = {
      partitions: [partition({ master: "a3" })],
      nodes: [node("a1", { role: "replica" }), node("a2"), node("a3", { role: "master" })],
    };
    expect(decide({ view, nodes: own("a3"), pendingElsewhere: new Set(["a1"]) })).toEqual({
      steps: [],
      waits: [{ node: "a3", why: "a1 on another host comes first", isTurn: true }],
    });
  });

  test("nobody takes over who is newer than a replica that stays", () => {
    const view = {
      partitions: [partition()],
      nodes: [
        node("a1", { version: "redis 7.0.15" }),
        node("a2", { version: "redis 8.2.3" }),
        node("a3", { version: "redis 7.0.15" }),
      ],
    };
    expect(decide({ view, nodes: own("a1") }).steps).toMatchObject([{ candidates: ["a3"] }]);
  });

  test("what takes no node away begins at once, whatever the view says", () => {
    const nodes = [
      { name: "a2", partition: 0, need: { kind: "set", settings: [] } as const },
      { name: "a3", partition: 0, need: { kind: "start" } as const },
    ];
    const { steps, waits } = decide({ view: null, nodes });
    expect(steps.map((step) => `${step.kind} ${step.node}`)).toEqual(["set a2", "start a3"]);
    expect(waits).toEqual([]);
  });
});

describe("what a step waits for", () => {
  const whyOf = (more: Partial<RollingInput>): string[] => {
    const { steps, waits } = decide(more);
    expect(steps).toEqual([]);
    return [...new Set(waits.map(({ why }) => why))];
  };
  const seen = (
    changed: Partial<PartitionView>,
    nodes = NAMES.map((name) => node(name)),
    more: object = {},
  ) => ({ view: { partitions: [partition(changed)], nodes, ...more } });

  test("another node of the partition that is dead or not in sync", () => {
    expect(whyOf(seen({}, [node("a1"), node("a2", { inSync: false }), node("a3")]))).toEqual([
      "a2 is not in sync: two nodes of partition 0 would be away at once",
    ]);
    expect(whyOf(seen({}, [node("a1"), node("a2", { role: "dead" }), node("a3")]))).toEqual([
      "a2 is dead: two nodes of partition 0 would be away at once",
    ]);
  });

  test("a partition without a master, or that changes it", () => {
    expect(whyOf(seen({ master: null }))).toEqual(["partition 0 has no master"]);
    const handover = { from: "a1", to: "a2", phase: "pause" } as const;
    expect(whyOf(seen({ handover }))).toEqual(["partition 0 changes its master"]);
  });

  test("a restore, a cut, another applier, a view", () => {
    expect(whyOf(seen({}, undefined, { restore: {} }))).toEqual(["a restore is under way"]);
    expect(whyOf(seen({}, undefined, { cut: {} }))).toEqual(["a backup takes its cut"]);
    expect(whyOf({ locked: new Set([0]) })).toEqual(["another host changes a node of partition 0"]);
    expect(whyOf({ view: null })).toEqual(["no majority of the status nodes answers"]);
  });

  test("a master alone waits, unless it is forced or only forks", () => {
    const view = { partitions: [partition()], nodes: [node("a1")] };
    expect(whyOf({ view, nodes: own("a1") })).toEqual([
      "a1 is master of partition 0, and no other node can take over",
    ]);
    expect(decide({ view, nodes: own("a1"), isForced: true }).steps).toHaveLength(1);
    const aof = {
      name: "a1",
      partition: 0,
      need: { kind: "aof", isOn: true, settings: [] },
    } as const;
    expect(decide({ view, nodes: [aof] }).steps).toEqual([
      { kind: "aof", node: "a1", partition: 0 },
    ]);
  });
});
