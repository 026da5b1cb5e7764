import { describe, expect, test } from "vitest";
import { parseCut, type Cut } from "../../../runtime/core/cut.ts";
import type { Request } from "../../../runtime/core/request.ts";
import type { PartitionView, View } from "../../../runtime/core/view.ts";
import { decideCut, type CutOutcome } from "../../../runtime/monitor/decide/cut.ts";

const partition = (index: number, master: string | null): PartitionView => ({
  ...{ index, master, replicas: [], dead: [], replicationId: "x", lastMaster: master, needs: null },
});
const VIEW: View = {
  ...{ cluster: "c", state: "OK", epoch: 4, revision: 1, alpha: "m1", updatedAt: "" },
  ...{ confDigest: "", nodes: [], partitions: [partition(0, "a1"), partition(1, "b1")] },
};
const ASKED: Request = { id: "q", body: { kind: "cut", by: "t" }, state: "asked", message: "" };
const CUT: Cut = {
  at: "2026-11-30T17:04:05.000Z",
  pausedMs: 3,
  marks: [
    { master: "a1", replicationId: "a".repeat(40), offset: 10 },
    { master: "b1", replicationId: "b".repeat(40), offset: 20 },
  ],
};
const SAMPLED: CutOutcome = { id: "q", kind: "sampled", cut: CUT };

const decided = (view: View, requests: readonly Request[], outcome?: CutOutcome) =>
  decideCut({ view, requests, outcome, wallTime: "now" });
const begun = (): View => decided(VIEW, [ASKED]).view;
const withPartition = (view: View, index: number, change: Partial<PartitionView>): View => ({
  ...view,
  partitions: view.partitions.map((one, at) => (at === index ? { ...one, ...change } : one)),
});

test("asked, it is locked in the view with its masters; sampled, it is answered and let go", () => {
  const view = begun();
  expect(view.cut).toEqual({
    ...{ id: "q", purpose: "backup", by: "t", since: "now", epoch: 4, masters: ["a1", "b1"] },
  });
  expect(decided(view, [ASKED])).toEqual({ view, answers: [] });
  const done = decided(view, [ASKED], SAMPLED);
  expect(done.view.cut).toBeNull();
  expect(done.answers).toEqual([{ ...ASKED, state: "done", message: JSON.stringify(CUT) }]);
  expect(parseCut(done.answers[0]?.message ?? "")).toEqual({ kind: "parsed", value: CUT });
});

test("a second tool waits until the first one's cut is over, and gets a cut of its own", () => {
  const other: Request = { ...ASKED, id: "r" };
  const waiting = decided(begun(), [ASKED, other]);
  expect(waiting.answers).toEqual([]);
  const done = decided(begun(), [ASKED, other], SAMPLED);
  expect(done.answers.map(({ id }) => id)).toEqual(["q"]);
  const next = decided(done.view, [other], SAMPLED);
  expect([next.view.cut?.id, next.answers]).toEqual(["r", []]);
  // The outcome of the first is none of the second.
  expect(decided(next.view, [other], SAMPLED).answers).toEqual([]);
});

test("a question that was withdrawn is not answered, and its cut is let go all the same", () => {
  const withdrawn: Request = { ...ASKED, state: "refused", message: "no answer in time" };
  const done = decided(begun(), [withdrawn], SAMPLED);
  expect([done.view.cut, done.answers]).toEqual([null, []]);
});

describe("refused before anything is paused", () => {
  const restore = { token: "t", by: "", since: "", phase: "loading", replicationIds: [] } as const;
  const handover = { from: "b1", to: "b2", phase: "pause" } as const;
  test.each([
    [
      "a partition has no master",
      withPartition(VIEW, 1, { master: null }),
      "partition 1 has no master",
    ],
    [
      "a handover is under way",
      withPartition(VIEW, 1, { handover }),
      "partition 1 is getting another master",
    ],
    [
      "one is being promoted",
      withPartition(VIEW, 0, { promoting: "a2" }),
      "partition 0 is getting another master",
    ],
    [
      "a master is silent",
      withPartition(VIEW, 0, { suspended: true }),
      "the master of partition 0 is silent",
    ],
    ["a restore is under way", { ...VIEW, restore }, "a restore is under way"],
  ])("%s", (_, view, why) => {
    const { answers, view: after } = decided(view, [ASKED]);
    expect(after).toBe(view);
    expect(answers).toMatchObject([{ id: "q", body: ASKED.body, state: "refused" }]);
    expect(answers[0]?.message).toContain(why);
  });
});

describe("void, whatever was sampled", () => {
  const elsewhere = { ...CUT, marks: CUT.marks.map((mark) => ({ ...mark, master: "a1" })) };
  test.each<[string, View, CutOutcome, string]>([
    ["another alpha leads", { ...begun(), epoch: 5 }, SAMPLED, "another monitor has become alpha"],
    ["a master was replaced", withPartition(begun(), 1, { master: "b2" }), SAMPLED, "partition 1"],
    ["a master was lost", withPartition(begun(), 0, { master: null }), SAMPLED, "partition 0"],
    [
      "a handover has begun",
      withPartition(begun(), 0, { handover: { from: "a1", to: "a2", phase: "pause" } }),
      ...([SAMPLED, "partition 0"] as const),
    ],
    [
      "a partition came",
      { ...begun(), partitions: [...VIEW.partitions, partition(2, "c1")] },
      SAMPLED,
      "partition 2",
    ],
    [
      "another node was sampled",
      begun(),
      { id: "q", kind: "sampled", cut: elsewhere },
      "partition 1",
    ],
    [
      "the pause may have lapsed",
      begun(),
      { id: "q", kind: "void", why: "it lapsed" },
      "it lapsed",
    ],
  ])("%s", (_, view, outcome, why) => {
    const { answers, view: after } = decided(view, [ASKED], outcome);
    expect(after.cut).toBeNull();
    expect(answers).toMatchObject([{ id: "q", body: ASKED.body, state: "refused" }]);
    expect(answers[0]?.message).toContain(why);
    expect(answers[0]?.message).toContain("the cut is void");
  });
});
