// Method: the decider is called with a partition as the view has it and what its nodes say; no clock, no sockets.
import { describe, expect, test } from "vitest";
import type { Handover, NodeView, PartitionView } from "../../../runtime/core/view.ts";
import { plannedStep } from "../../../runtime/monitor/decide/handover/handover-actions.ts";
import {
  attemptMsOf,
  decideHandover,
  type HandoverInput,
} from "../../../runtime/monitor/decide/handover/handover.ts";
import type { NodeInfo } from "../../../runtime/monitor/decide/nodes/info.ts";
import type { Pauses } from "../../../runtime/monitor/decide/pauses.ts";
import type { NodeHealth } from "../../../runtime/monitor/decide/nodes/node-health.ts";
import { infoOf, masterInfo, replicaOf, servedScene } from "./situations.ts";

const PARTITION: PartitionView = {
  index: 0,
  master: "a1",
  replicas: ["a2"],
  dead: [],
  replicationId: "h1",
  lastMaster: "a1",
  needs: null,
  masterRunId: "run",
};

function nodeOf(name: string, port: number, role: NodeView["role"]): NodeView {
  return {
    name,
    kind: "data",
    host: "localhost",
    port,
    db: 0,
    partition: 0,
    role,
    inSync: true,
    runId: "run",
    since: "",
  };
}

function up(info: NodeInfo, askedAtMs = 60): NodeHealth {
  return { kind: "up", info, askedAtMs };
}

const NODES = [nodeOf("a1", 7001, "master"), nodeOf("a2", 7002, "replica")];

interface Situation {
  readonly handover?: Handover | null;
  readonly partition?: Partial<PartitionView>;
  readonly a1?: NodeHealth;
  readonly a2?: NodeHealth;
  readonly pauses?: Pauses;
  readonly stale?: string[];
  readonly wish?: string;
  readonly nowMs?: number;
}

function healthIn({ a1, a2 }: Situation): ReadonlyMap<string, NodeHealth> {
  return new Map([
    ["a1", a1 ?? up(masterInfo({ offset: 50 }))],
    ["a2", a2 ?? up(replicaOf("a1", { offset: 50 }))],
  ]);
}

/** One decision at 100 ms over a handover that began at 0; the pause, where there is one, stands since 50. */
function step(changes: Situation) {
  const { handover = null, nowMs = 100 } = changes;
  const input: HandoverInput = {
    partition: { ...PARTITION, ...changes.partition, handover },
    nodes: NODES,
    nodeHealth: healthIn(changes),
    stale: new Set(changes.stale),
    wish: changes.wish,
    nowMs,
    sinceMs: 0,
    attemptMs: 2000,
  };
  return decideHandover(input);
}

/** What is done at the master in that situation, under the view of a handover. */
const doneAtMaster = (changes: Situation): string => doneAt("a1", changes);

function doneAt(name: string, changes: Situation): string {
  const { handover = PAUSE, pauses = new Map(), nowMs = 100 } = changes;
  const nodeHealth = healthIn(changes);
  const health = nodeHealth.get(name);
  const node = NODES.find((each) => each.name === name);
  if (node === undefined || health?.kind !== "up") return "nothing";
  const partition = { ...PARTITION, ...changes.partition, handover };
  const decided = step({ handover, ...changes });
  const promotes = decided.kind === "under-way" ? decided.promotes : undefined;
  const takingOver = new Set(promotes === undefined ? [] : [promotes]);
  const memory = { pauses, nowMs, attemptMs: 2000, takingOver };
  const input = { node, health, partition, nodeHealth, dataNodes: NODES, memory };
  return plannedStep(input)?.kind ?? "nothing";
}

const PAUSE: Handover = { from: "a1", to: "a2", phase: "pause" };
const STEP_DOWN: Handover = { from: "a1", to: "a2", phase: "step-down" };
const PAUSED: Pauses = new Map([["a1", { sinceMs: 50, untilMs: 4000 }]]);
const DETACHED = infoOf({ replicationId: "h1", offset: 50 });

test("a wish begins with a pause of the master's writes, and the master stays in the view", () => {
  const { kind, partition } = step({ wish: "a2" });
  expect(kind).toBe("under-way");
  expect(partition).toMatchObject({ master: "a1", handover: PAUSE });
});

test("without a wish, or with the master itself as the wish, nothing begins", () => {
  expect(step({}).kind).toBe("usual");
  expect(step({ wish: "a1" }).kind).toBe("usual");
});

describe("while the master's writes are paused", () => {
  test("the master steps down when the replica has what it has, without another view", () => {
    expect(doneAtMaster({ pauses: PAUSED })).toBe("step-down");
    const decided = step({ handover: PAUSE });
    expect(decided).toMatchObject({ kind: "under-way", partition: { master: "a1" } });
    expect(decided.partition.handover).toEqual(PAUSE);
  });

  test.each([
    ["no pause was answered yet", { pauses: new Map() }],
    ["the pause has ended", { pauses: new Map([["a1", { sinceMs: 50, untilMs: 90 }]]) }],
    ["the master was asked before the pause", { pauses: PAUSED, a1: up(masterInfo(), 40) }],
    ["the replica is behind", { pauses: PAUSED, a2: up(replicaOf("a1", { offset: 49 })) }],
    [
      "the replica's link is down",
      { pauses: PAUSED, a2: up(replicaOf("a1", { isLinkUp: false, offset: 50 })) },
    ],
    ["the master is being asked again", { pauses: PAUSED, a1: { kind: "unknown" } as const }],
  ])("the master does not step down while %s", (_what, situation) => {
    const decided = step({ handover: PAUSE, ...situation });
    expect(decided.kind).toBe("under-way");
    expect(decided.partition.handover).toEqual(PAUSE);
    expect(doneAtMaster(situation)).not.toBe("step-down");
  });

  test.each([
    [
      "the time is up",
      { nowMs: 2001, a2: up(replicaOf("a1", { offset: 49 })) },
      /a2 did not reach what a1 has within 2000 ms/,
    ],
    ["the replica dies", { a2: { kind: "down", isRefused: true } as const }, /a2 died/],
    ["the replica is suspect", { a2: { kind: "suspect" } as const }, /a2 does not answer/],
    [
      "the replica restarts",
      { a2: up(replicaOf("a1", { runId: "other", offset: 50 })) },
      /a2 restarted/,
    ],
    [
      "the replica's disk breaks",
      { a2: up(replicaOf("a1", { isDiskWell: false })) },
      /can't write/,
    ],
    [
      "the replica leaves the history",
      { a2: up(replicaOf("a1", { replicationId: "h2" })) },
      /no longer follows a1/,
    ],
  ])("it is taken back when %s, and the master goes on", (_what, situation, why) => {
    const decided = step({ handover: PAUSE, ...situation });
    expect(decided).toMatchObject({ kind: "usual", failed: expect.stringMatching(why) as string });
    expect(decided.partition).toMatchObject({ master: "a1", handover: null });
    expect(decided.partition.promoting ?? null).toBeNull();
  });

  test.each([
    ["the master dies", { a1: { kind: "down", isRefused: true } as const }],
    ["the master restarts", { a1: up(masterInfo({ runId: "other" })) }],
    ["somebody makes the master a replica", { a1: up(replicaOf("a2", { offset: 50 })) }],
  ])("it is forgotten when %s, and the usual rules decide", (_what, situation) => {
    const decided = step({ handover: PAUSE, ...situation });
    expect(decided.kind).toBe("usual");
    expect(decided.partition.handover).toBeNull();
  });
});

// An alpha of an earlier version recorded in the view that the master steps down; its successor may be of this one.
describe.each([
  ["", PAUSE],
  [" by the view of an earlier version", STEP_DOWN],
])("while the master steps down%s", (_which, handover) => {
  test("nobody is promoted before the master says that it is a replica", () => {
    const decided = step({ handover });
    expect(decided.partition).toMatchObject({ master: "a1", handover });
  });

  test("the replica is promoted when it has everything that the old master has, without another view", () => {
    const decided = step({ handover, a1: up(DETACHED) });
    expect(decided).toMatchObject({ kind: "under-way", promotes: "a2" });
    expect(decided.partition).toMatchObject({ master: "a1", handover });
    expect(doneAt("a2", { handover, a1: up(DETACHED) })).toBe("promote");
    expect(doneAt("a2", { handover })).toBe("nothing");
  });

  const taken = { replicationId: "h2", replicationId2: "h1", secondOffset: 51, offset: 50 };

  test("once promoted it is left alone, and the next view names it, for an alpha that has not promoted it too", () => {
    const promoted = { handover, a1: up(DETACHED), a2: up(masterInfo(taken)) };
    expect(doneAt("a2", promoted)).toBe("leave");
    const decided = step(promoted);
    expect(decided).toMatchObject({ kind: "usual", failed: "" });
    expect(decided.partition).toMatchObject({
      ...{ master: null, lastMaster: "a1", promoting: "a2", handover: null },
    });
  });

  test.each([
    ["it misses a write", { ...taken, secondOffset: 50 }, "a2 no longer follows a1"],
    ["it has other data", { ...taken, replicationId2: "h0" }, "a2 no longer follows a1"],
    ["it has restarted", { ...taken, runId: "other" }, "a2 restarted"],
  ])(
    "a master in its place is not the new one when %s: the old master serves again",
    (_, info, failed) => {
      const decided = step({ handover, a1: up(DETACHED), a2: up(masterInfo(info)) });
      expect(decided).toMatchObject({ kind: "usual", failed });
      expect(decided.partition).toMatchObject({ promoting: "a1", handover: null });
    },
  );

  test("somebody makes it master while the old master serves: the old one goes on", () => {
    const decided = step({ handover, a2: up(masterInfo(taken)) });
    expect(decided).toMatchObject({ kind: "usual", failed: "a2 no longer follows a1" });
    expect(decided.partition).toMatchObject({ master: "a1", handover: null });
  });

  test("a new master counts only when both have answered after the last action on them", () => {
    const a2 = up(masterInfo(taken));
    for (const stale of [["a1"], ["a2"]]) {
      const decided = step({ handover, a1: up(DETACHED), a2, stale });
      expect(decided.partition).toMatchObject({ master: "a1", handover });
    }
    const unknown = step({ handover, a1: { kind: "suspect" }, a2, nowMs: 9000 });
    expect(unknown.partition).toMatchObject({ master: "a1", handover });
  });

  test("a new master that this alpha can't reach in time stays unnamed: the old one serves again", () => {
    const a2 = up(masterInfo(taken));
    const decided = step({ handover, a1: up(DETACHED), a2, stale: ["a2"], nowMs: 2001 });
    expect(decided.kind).toBe("usual");
    expect(decided.partition).toMatchObject({ promoting: "a1", handover: null });
    const unsure = step({ handover, a1: up(DETACHED), a2, stale: ["a1", "a2"], nowMs: 2001 });
    expect(unsure.partition).toMatchObject({ master: "a1", handover });
  });

  test("a replica of Redis 6.2, whose offset is discarded at the step down, is compared by the end of its history and its keys", () => {
    const a1 = up(infoOf({ replicationId: "h1", offset: 50, keys: 7 }));
    const discarded = { isLinkUp: false, offset: 1, isEmptied: true, keptOffset: 50, keys: 7 };
    const promotes = (changes: Partial<NodeInfo>): boolean =>
      step({ handover, a1, a2: up(replicaOf("a1", { ...discarded, ...changes })) }).partition
        .promoting === "a2";
    expect(promotes({})).toBe(true);
    expect(promotes({ keys: 0 })).toBe(false);
    expect(promotes({ keptOffset: 49 })).toBe(false);
  });

  test("what either of them said before the last action on it counts for nothing", () => {
    for (const stale of [["a1"], ["a2"]]) {
      const decided = step({ handover, a1: up(DETACHED), stale });
      expect(decided.partition).toMatchObject({ master: "a1", handover });
      expect(doneAt("a2", { handover, a1: up(DETACHED), stale })).toBe("nothing");
    }
  });

  test("a write that slipped in after the pause is waited for", () => {
    const a1 = up(infoOf({ replicationId: "h1", offset: 51 }));
    expect(step({ handover, a1 }).partition).toMatchObject({ handover });
  });

  test("the old master is promoted again when the replica dies, for it has everything", () => {
    const decided = step({
      handover,
      a1: up(DETACHED),
      a2: { kind: "down", isRefused: true },
    });
    expect(decided.partition).toMatchObject({ master: null, promoting: "a1", handover: null });
    expect(decided).toMatchObject({ kind: "usual", failed: "a2 died" });
  });

  test("the alpha repeats the step down only where the view or its own pause requires it", () => {
    const isRecorded = handover.phase === "step-down";
    expect(doneAtMaster({ handover })).toBe(isRecorded ? "step-down" : "pause");
    expect(doneAtMaster({ handover, a1: up(DETACHED) })).toBe("leave");
  });

  test("a silent old master is waited for even past the time: it may be a replica already", () => {
    const decided = step({ handover, a1: { kind: "suspect" }, nowMs: 9000 });
    expect(decided.partition).toMatchObject({ master: "a1", handover });
  });

  test("a master that never stepped down simply goes on when the time is up", () => {
    const decided = step({ handover, nowMs: 9000 });
    expect(decided.partition).toMatchObject({ master: "a1", handover: null });
  });
});

test("an attempt leaves routers at least three quarters of the time for which they hold requests", () => {
  expect(attemptMsOf({ downAfterMs: 1000, holdForMs: 10_000 })).toBe(2000);
  expect(attemptMsOf({ downAfterMs: 30_000, holdForMs: 10_000 })).toBe(2500);
});

test("while the old master is silent the view goes on to show what becomes of the other replicas", () => {
  const scene = servedScene();
  scene.requests = [
    { id: "1", body: { kind: "promote-to", node: "a2" }, state: "asked", message: "" },
  ];
  scene.step();
  expect(scene.partition.handover).toMatchObject({ from: "a1", to: "a2" });
  scene.see("a3", "refused").step();
  expect(scene.partition.dead).toEqual([]);
  // It may have stepped down already, and a2 may be master.
  const taken = { runId: "run", replicationId: "h2", replicationId2: "h1", secondOffset: 111 };
  scene.see("a1", "silent").see("a2", masterInfo({ ...taken, offset: 110 }));
  scene.step();
  expect(scene.partition.handover).toMatchObject({ from: "a1", to: "a2" });
  expect(scene.partition).toMatchObject({ master: "a1", replicas: ["a2"], dead: ["a3"] });
  expect(scene.inSync("a2")).toBe(true);
  scene.see("a1", infoOf({ replicationId: "h1", offset: 110 })).step();
  expect(scene.partition).toMatchObject({ master: "a2", handover: null });
});
