// Method: histories and offsets as INFO gives them, compared by hand.
import { expect, test } from "vitest";
import type { NodeView, PartitionView } from "../../../runtime/core/view.ts";
import type { NodeInfo } from "../../../runtime/monitor/decide/nodes/info.ts";
import { withRescue } from "../../../runtime/monitor/decide/returning/rescues.ts";
import { isContained, isKept, rogueStep } from "../../../runtime/monitor/decide/returning/rogue.ts";
import { RULES } from "../../../runtime/monitor/decide/rules.ts";
import type { NodeHealth } from "../../../runtime/monitor/decide/nodes/node-health.ts";
import { masterInfo } from "./situations.ts";

/** Promoted at offset 100 of h1, now at 140 of h2. */
const MASTER = masterInfo({
  replicationId: "h2",
  offset: 140,
  replicationId2: "h1",
  secondOffset: 101,
});

test.each([
  ["stopped where the new master took over", { replicationId: "h1", offset: 100 }, true],
  ["stopped before that", { replicationId: "h1", offset: 7 }, true],
  ["took one byte more", { replicationId: "h1", offset: 101 }, false],
  ["lies on the new history", { replicationId: "h2", offset: 140 }, true],
  ["is on a history that nobody knows", { replicationId: "h9", offset: 3 }, false],
  [
    "was promoted by hand and took nothing since",
    { replicationId: "h9", offset: 120, replicationId2: "h2", secondOffset: 121 },
    true,
  ],
  [
    "was promoted by hand and took a write",
    { replicationId: "h9", offset: 130, replicationId2: "h2", secondOffset: 121 },
    false,
  ],
  [
    "was promoted by hand ahead of the master",
    { replicationId: "h9", offset: 150, replicationId2: "h2", secondOffset: 151 },
    false,
  ],
  [
    "was promoted by hand after a restart, and so has not counted what it took",
    {
      replicationId: "h9",
      offset: 120,
      replicationId2: "h2",
      secondOffset: 121,
      isUncounted: true,
    },
    false,
  ],
])("what a rogue master holds that %s", (_what, changes, contained) => {
  expect(isContained(masterInfo({ keys: 3, ...changes }), MASTER)).toBe(contained);
});

const NODE: NodeView = {
  name: "a1",
  kind: "data",
  host: "localhost",
  port: 7001,
  db: 0,
  partition: 0,
  role: "dead",
  inSync: false,
  runId: "run",
  since: "",
};
const PARTITION: PartitionView = {
  index: 0,
  master: "a2",
  replicas: [],
  dead: ["a1"],
  replicationId: "h2",
  lastMaster: "a2",
  needs: null,
};
const PAUSED = new Map([["a1", { sinceMs: 50, untilMs: 1000 }]]);

function step(changes: {
  info?: Partial<NodeInfo>;
  askedAtMs?: number;
  node?: Partial<NodeView>;
  master?: NodeHealth;
  pauses?: typeof PAUSED;
}) {
  const info = masterInfo({ replicationId: "h1", offset: 200, keys: 3, ...changes.info });
  const { askedAtMs = 60, pauses = PAUSED } = changes;
  const master = changes.master ?? { kind: "up", info: MASTER, askedAtMs: 60 };
  return rogueStep({
    node: { ...NODE, ...changes.node },
    health: { kind: "up", info, askedAtMs },
    partition: PARTITION,
    nodeHealth: new Map([["a2", master]]),
    pauses,
    nowMs: 100,
    rules: RULES,
  });
}

const RESCUE = {
  runId: "run",
  kind: "saved",
  place: "m1:/x.rdb",
  why: "",
  at: "",
  upTo: { replicationId: "h1", offset: 200 },
} as const;
const OLD_RESCUE = { runId: "run", kind: "saved", place: "m1:/x.rdb", why: "", at: "" } as const;
const KEPT = { ...OLD_RESCUE, kind: "kept", place: null } as const;

test.each([
  ["its writes are paused first", { pauses: new Map() }, "pause"],
  [
    "a pause that is half over is renewed",
    { pauses: new Map([["a1", { sinceMs: 0, untilMs: 150 }]]) },
    "pause",
  ],
  ["what it said before the pause does not count", { askedAtMs: 50 }, "wait"],
  ["data of its own is rescued", {}, "rescue"],
  ["what the view shows as rescued is detached", { node: { rescue: RESCUE } }, "detach"],
  [
    "a rescue of an earlier run does not count",
    { node: { rescue: { ...RESCUE, runId: "old" } } },
    "rescue",
  ],
  [
    "made master by hand again, it began a history of which nothing was rescued",
    { node: { rescue: RESCUE }, info: { replicationId: "h3", offset: 190 } },
    "rescue",
  ],
  [
    "what it took after the rescue, when its pause had ended, is rescued too",
    { node: { rescue: RESCUE }, info: { offset: 201 } },
    "rescue",
  ],
  [
    "a view of an older version does not say what was rescued: once more",
    { node: { rescue: OLD_RESCUE } },
    "rescue",
  ],
  [
    "one that keeps what could not be saved is detached however often it goes rogue",
    { node: { rescue: KEPT }, info: { replicationId: "h3" } },
    "detach",
  ],
  ["one without keys has nothing to lose", { info: { keys: 0 } }, "detach"],
  ["one that the master has all of is detached", { info: { offset: 100 } }, "detach"],
  [
    "while the master is silent nothing can be compared",
    { master: { kind: "suspect" } as const },
    "wait",
  ],
])("of a rogue master: %s", (_what, situation, expected) => {
  expect(step(situation)).toBe(expected);
});

const NOBODY: ReadonlySet<string> = new Set();

test("the view says what became of a rescue, once, and forgets a kept node when it restarts", () => {
  const outcomes = new Map([["a1", { runId: "run", place: null, why: "disk full" }]]);
  const kept = withRescue(NODE, outcomes, NOBODY, "now");
  expect(kept.rescue).toEqual({
    runId: "run",
    kind: "kept",
    place: null,
    why: "disk full",
    at: "now",
  });
  expect(withRescue(kept, outcomes, NOBODY, "later")).toBe(kept);
  expect(isKept(kept, masterInfo())).toBe(true);
  const restarted = { ...kept, runId: "next" };
  expect(isKept(restarted, masterInfo({ runId: "next" }))).toBe(false);
  expect(withRescue(restarted, outcomes, NOBODY, "later").rescue).toBeUndefined();
  const saved = withRescue(
    NODE,
    new Map([["a1", { runId: "run", place: "m1:/x", why: "" }]]),
    NOBODY,
    "now",
  );
  const restartedLater = withRescue({ ...saved, runId: "next" }, new Map(), NOBODY, "later");
  expect(restartedLater.rescue?.place).toBe("m1:/x");
});

test("each rescue of one run is told until somebody has seen to it, and no more than sixteen", () => {
  const rescuedTo = (node: NodeView, count: number): NodeView => {
    const upTo = { replicationId: `h${count}`, offset: count };
    const outcome = { runId: "run", place: `m1:/${count}`, why: "", upTo };
    return withRescue(node, new Map([["a1", outcome]]), NOBODY, `at ${count}`);
  };
  const placesOf = ({ rescue, earlierRescues = [] }: NodeView): (string | null | undefined)[] =>
    [...earlierRescues, rescue].map((reported) => reported?.place);
  const twice = rescuedTo(rescuedTo(NODE, 1), 2);
  expect(twice.rescue?.upTo).toEqual({ replicationId: "h2", offset: 2 });
  expect(placesOf(twice)).toEqual(["m1:/1", "m1:/2"]);
  expect(twice.earlierRescues?.[0]?.at).toBe("at 1");
  // The same outcome again is no other rescue.
  expect(rescuedTo(twice, 2)).toBe(twice);
  let often = NODE;
  for (let count = 1; count <= 20; count++) often = rescuedTo(often, count);
  expect(placesOf(often)).toHaveLength(17);
  expect(placesOf(often)[0]).toBe("m1:/4");
  // What was seen to is not told again beside the next one.
  const seen = withRescue(often, new Map(), new Set(["a1"]), "");
  expect(seen.rescue?.isSeen).toBe(true);
  expect(placesOf(rescuedTo(seen, 21))).toEqual(["m1:/21"]);
});

test("what was saved before a rescue that failed is told beside it, and again after the restart", () => {
  const saved = { ...NODE, rescue: RESCUE };
  const outcomes = new Map([["a1", { runId: "run", place: null, why: "full" }]]);
  const kept = withRescue(saved, outcomes, NOBODY, "later");
  expect(kept.rescue).toMatchObject({ kind: "kept", why: "full" });
  expect(kept.earlierRescues).toEqual([RESCUE]);
  const restarted = withRescue({ ...kept, runId: "next" }, outcomes, NOBODY, "last");
  expect(restarted).toEqual({ ...saved, runId: "next" });
});

test("what somebody has seen to stays marked so until another run of the node is rescued", () => {
  const outcomes = new Map([["a1", { runId: "run", place: "m1:/x", why: "" }]]);
  const saved = withRescue(NODE, outcomes, NOBODY, "now");
  const seen = withRescue(saved, outcomes, new Set(["a1"]), "later");
  expect(seen.rescue).toEqual({ ...saved.rescue, isSeen: true });
  expect(withRescue(seen, outcomes, new Set(["a1"]), "later")).toBe(seen);
  const next = new Map([["a1", { runId: "next", place: "m1:/y", why: "" }]]);
  const again = withRescue({ ...seen, runId: "next" }, next, NOBODY, "last");
  expect(again.rescue).toEqual({
    runId: "next",
    kind: "saved",
    place: "m1:/y",
    why: "",
    at: "last",
  });
  // What the node itself keeps is not to be forgotten.
  const kept = withRescue(
    NODE,
    new Map([["a1", { runId: "run", place: null, why: "full" }]]),
    NOBODY,
    "",
  );
  expect(withRescue(kept, new Map(), new Set(["a1"]), "").rescue?.isSeen).toBeUndefined();
});
