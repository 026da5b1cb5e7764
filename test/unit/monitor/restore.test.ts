import { describe, expect, test } from "vitest";
import type { Request, RestoreRequest } from "../../../runtime/core/request.ts";
import type { NodeView, View } from "../../../runtime/core/view.ts";
import { actionsOf } from "../../../runtime/monitor/decide/actions.ts";
import type { NodeHealth } from "../../../runtime/monitor/decide/nodes/node-health.ts";
import { parseInfo } from "../../../runtime/monitor/decide/nodes/info.ts";
import {
  SILENT_MS,
  decideRestore,
  type RestoreBeat,
} from "../../../runtime/monitor/decide/restore.ts";

const NEW_IDS = ["a".repeat(40), "b".repeat(40)];
const node = (name: string, partition: number, role: NodeView["role"]): NodeView => ({
  ...{ name, kind: "data", host: "h", port: 1, db: 0, partition, role, inSync: true, runId: "r" },
  since: "",
});
const VIEW: View = {
  ...{
    cluster: "c",
    state: "OK",
    epoch: 1,
    revision: 1,
    alpha: "m1",
    updatedAt: "",
    confDigest: "",
  },
  partitions: [
    {
      index: 0,
      master: "a1",
      replicas: ["a2"],
      dead: [],
      replicationId: "x",
      lastMaster: "a1",
      needs: null,
    },
    {
      index: 1,
      master: "b1",
      replicas: [],
      dead: [],
      replicationId: "y",
      lastMaster: "b1",
      needs: null,
    },
  ],
  nodes: [node("a1", 0, "master"), node("a2", 0, "replica"), node("b1", 1, "master")],
};

function step(
  what: "begin" | "release" | "finish" | "cancel",
  more: Partial<RestoreRequest> = {},
): Request {
  const body = {
    kind: "restore",
    step: what,
    token: "t",
    by: "me",
    replicationIds: NEW_IDS,
    masters: [],
    ...more,
  };
  return { id: what, state: "asked", message: "", body: body as RestoreRequest };
}

function decide(
  view: View,
  requests: readonly Request[],
  more: { beat?: RestoreBeat; nowMs?: number; nodeHealth?: ReadonlyMap<string, NodeHealth> } = {},
) {
  return decideRestore({
    ...{ view, requests, nodeHealth: more.nodeHealth ?? new Map(), beat: more.beat },
    ...{ nowMs: more.nowMs ?? 0, wallTime: "now" },
  });
}

const beat: RestoreBeat = { token: "t", count: 0, atMs: 0 };

const begun = (): View => decide(VIEW, [step("begin")]).view;
const released = (): View => decide(begun(), [step("release")]).view;

function up(replicationId: string, more = ""): NodeHealth {
  const info = parseInfo(
    `run_id:r\r\nrole:slave\r\nmaster_replid:${replicationId}\r\nslave_repl_offset:9\r\nloading:0\r\n${more}`,
  );
  if (info === undefined) throw new Error("no INFO");
  return { kind: "up", info, askedAtMs: 0 };
}

test("without a request nothing is decided, and the usual rules go on", () => {
  expect(decide(VIEW, [])).toEqual({ view: VIEW, isFrozen: false, answers: [], beat: undefined });
});

test("begun, no partition is served and nobody acts on a node", () => {
  const { view, isFrozen, answers } = decide(VIEW, [step("begin")]);
  expect(isFrozen).toBe(true);
  expect(answers).toMatchObject([{ id: "begin", state: "done" }]);
  expect(view).toMatchObject({
    state: "HALT",
    restore: { token: "t", by: "me", phase: "loading", since: "now", replicationIds: NEW_IDS },
    partitions: [
      {
        master: null,
        lastMaster: "a1",
        replicas: [],
        dead: ["a1", "a2"],
        needs: "the restore by me to end",
      },
      { master: null, lastMaster: "b1", dead: ["b1"] },
    ],
  });
  expect(view.nodes.map(({ role }) => role)).toEqual(["dead", "dead", "dead"]);
  expect(actionsOf(view, new Map([["a1", up("x")]]))).toEqual([]);
  expect(decide(view, []).isFrozen).toBe(true);
});

describe("refused, and nothing changes", () => {
  test.each<[string, View, Request, RegExp]>([
    [
      "a second restore",
      begun(),
      step("begin", { token: "other" }),
      /a restore by me is under way since now/,
    ],
    [
      "a wrong number of partitions",
      VIEW,
      step("begin", { replicationIds: ["x"] }),
      /1 partitions of 2/,
    ],
    ["a finish without a begin", VIEW, step("finish"), /not under way/],
    ["another's finish", begun(), step("finish", { token: "other" }), /not under way/],
    ["a cancel after the release", released(), step("cancel"), /can only be finished/],
  ])("%s", (_what, view, request, why) => {
    const decided = decide(view, [request]);
    expect(decided.view).toBe(view);
    expect(decided.answers).toMatchObject([
      { state: "refused", message: expect.stringMatching(why) as string },
    ]);
  });

  test("while a partition changes its master", () => {
    const [first, ...others] = VIEW.partitions;
    if (first === undefined) throw new Error("no partition");
    const moving = { ...VIEW, partitions: [{ ...first, promoting: "a2" }, ...others] };
    expect(decide(moving, [step("begin")]).answers).toMatchObject([{ state: "refused" }]);
  });
});

test("finished, the named nodes are promoted; a name of another partition is not taken", () => {
  const { view, answers, isFrozen } = decide(released(), [
    step("finish", { masters: ["a2", "a1"] }),
  ]);
  expect(answers).toMatchObject([{ state: "done" }]);
  expect(isFrozen).toBe(true);
  expect(view.restore).toBeNull();
  expect(view.partitions).toMatchObject([
    { promoting: "a2", master: null, needs: null },
    { promoting: null },
  ]);
  expect(decide(view, []).isFrozen).toBe(false);
});

test.each<[string, (view: View) => View]>([
  ["cancelled", (view) => decide(view, [step("cancel")]).view],
  ["left by its tool", (view) => decide(view, [], { beat, nowMs: SILENT_MS + 1 }).view],
])(
  "%s, a last master that had come back without its data before it began is not promoted",
  (_how, end) => {
    const [first, second] = VIEW.partitions;
    if (first === undefined || second === undefined) throw new Error("no partition");
    const halted = { ...first, master: null, masterRunId: "before", needs: "the data of a1" };
    const partitions = [halted, { ...second, masterRunId: "r" }];
    const view = end(decide({ ...VIEW, partitions }, [step("begin")]).view);
    expect(view.restore).toBeNull();
    expect(view.partitions.map(({ promoting }) => promoting)).toEqual([null, "b1"]);
  },
);

test("cancelled, the masters of the moment when it began are promoted, whatever older view the tool has read", () => {
  const { view } = decide(begun(), [step("cancel", { masters: ["a2", "b1"] })]);
  expect(view.restore).toBeNull();
  expect(view.partitions.map(({ promoting }) => promoting)).toEqual(["a1", "b1"]);
});

describe("a tool that fell silent", () => {
  const alive = (count: number): Request => ({
    id: "alive",
    state: "asked",
    message: "",
    body: { kind: "restore", step: "alive", token: "t", count },
  });
  const beat = { token: "t", count: 3, atMs: 0 };

  test("counts as dead only when its count has stood still, by this alpha's clock", () => {
    const late = SILENT_MS + 1;
    expect(decide(begun(), [alive(4)], { beat, nowMs: late }).view.restore).toMatchObject({
      token: "t",
    });
    expect(decide(begun(), [alive(4)], { beat, nowMs: late }).beat).toEqual({
      token: "t",
      count: 4,
      atMs: late,
    });
    // A new alpha has seen nothing yet.
    expect(decide(begun(), [alive(3)], { nowMs: late }).view.restore).toMatchObject({ token: "t" });
    expect(decide(begun(), [alive(3)], { beat, nowMs: SILENT_MS }).view.restore).toMatchObject({
      token: "t",
    });
  });

  test("before the release leaves the old masters", () => {
    const { view } = decide(begun(), [alive(3)], { beat, nowMs: SILENT_MS + 1 });
    expect(view.restore).toBeNull();
    expect(view.partitions.map(({ promoting }) => promoting)).toEqual(["a1", "b1"]);
  });

  test("or says that it ends: nobody waits until it counts as dead", () => {
    const over: Request = { ...alive(3), state: "done", message: "over" };
    expect(decide(begun(), [over], { beat }).view.partitions).toMatchObject([
      { promoting: "a1" },
      { promoting: "b1" },
    ]);
    const some = new Map([["a2", up(NEW_IDS[0] ?? "")]]);
    const stuck = decide(released(), [over], { beat, nodeHealth: some }).view;
    expect(stuck).toMatchObject({ state: "HALT", restore: { token: "t", phase: "released" } });
    const next = decide(stuck, [over, step("begin", { token: "next" })], { beat });
    expect(next.view.restore).toMatchObject({ token: "next", isMixed: true });
    // What an earlier one said is not of this one.
    expect(decide(next.view, [over]).view).toBe(next.view);
  });

  test.each([
    ["is being rewritten", "aof_enabled:1\r\naof_rewrite_in_progress:1\r\n"],
    ["waits to be rewritten", "aof_enabled:1\r\naof_rewrite_scheduled:1\r\n"],
    ["could not be rewritten", "aof_enabled:1\r\naof_last_bgrewrite_status:err\r\n"],
  ])("after it: while an append only file %s, nothing is served yet", (_what, aof) => {
    const nowMs = SILENT_MS + 1;
    const behind = new Map([
      ["a2", up(NEW_IDS[0] ?? "", aof)],
      ["b1", up(NEW_IDS[1] ?? "")],
    ]);
    const { view } = decide(released(), [alive(3)], { beat, nowMs, nodeHealth: behind });
    expect(view.restore).toMatchObject({ phase: "released" });
    expect(view.partitions[0]).toMatchObject({
      master: null,
      needs: "the append only file of a2 to hold the restored data: see its log",
    });
    const fine = "aof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_last_bgrewrite_status:ok\r\n";
    const whole = new Map([...behind, ["a2", up(NEW_IDS[0] ?? "", fine)]]);
    const later = decide(view, [alive(3)], { beat, nowMs, nodeHealth: whole });
    expect(later.view.partitions.map(({ promoting }) => promoting)).toEqual(["a2", "b1"]);
    // A sibling that has it on its disk is enough.
    const sibling = new Map([...behind, ["a1", up(NEW_IDS[0] ?? "", fine)]]);
    const other = decide(released(), [alive(3)], { beat, nowMs, nodeHealth: sibling });
    expect(other.view.partitions.map(({ promoting }) => promoting)).toEqual(["a1", "b1"]);
  });

  test("after it: with the new data in every partition it is finished, with some of it nothing is served", () => {
    const nowMs = SILENT_MS + 1;
    const all = new Map([
      ["a1", up("x")],
      ["a2", up(NEW_IDS[0] ?? "")],
      ["b1", up(NEW_IDS[1] ?? "")],
    ]);
    const { view } = decide(released(), [alive(3)], { beat, nowMs, nodeHealth: all });
    expect(view.partitions.map(({ promoting }) => promoting)).toEqual(["a2", "b1"]);
    const some = new Map([
      ["a2", up(NEW_IDS[0] ?? "")],
      ["b1", up("y")],
    ]);
    const stuck = decide(released(), [alive(3)], { beat, nowMs, nodeHealth: some });
    expect(stuck.view.restore).toMatchObject({ phase: "released" });
    expect(stuck.view.partitions[0]).toMatchObject({ master: null, promoting: null });
    expect(stuck.view.partitions[0]?.needs).toContain("twine-restore");
    expect(decide(stuck.view, [alive(3)], { beat, nowMs, nodeHealth: some }).view).toBe(stuck.view);
    // Another one may take over, but not give up: what the nodes hold does not belong together.
    const again = decide(stuck.view, [alive(3), step("begin", { token: "next" })], { beat, nowMs });
    expect(again.view.restore).toMatchObject({ token: "next", phase: "loading", isMixed: true });
    const cancel = step("cancel", { token: "next", masters: ["a1", "b1"] });
    expect(decide(again.view, [cancel]).answers).toMatchObject([{ state: "refused" }]);
    const silent = { beat: { token: "next", count: 0, atMs: 0 }, nowMs, nodeHealth: some };
    expect(decide(again.view, [], silent).view.partitions[0]).toMatchObject({ promoting: null });
  });
});

describe("a restore of one partition", () => {
  const replicationIds = ["", "b".repeat(40)];
  const begun = decide(VIEW, [step("begin", { replicationIds })]).view;

  test("leaves the others served, from its beginning to its end", () => {
    expect(begun.partitions[0]).toBe(VIEW.partitions[0]);
    expect(begun.partitions[1]).toMatchObject({ master: null, dead: ["b1"] });
    expect(begun.nodes.map(({ role }) => role)).toEqual(["master", "replica", "dead"]);
    for (const ending of ["cancel", "finish"] as const) {
      const masters = ["a1", "b1"];
      const ended = decide(begun, [step(ending, { masters, replicationIds })]).view;
      expect(ended.partitions[0]).toBe(VIEW.partitions[0]);
      expect(ended.partitions[1]).toMatchObject({ promoting: "b1", needs: null });
    }
  });

  test("whose tool died is ended for that partition alone", () => {
    const beat = { token: "t", count: 1, atMs: 0 };
    const { view } = decide(begun, [], { beat, nowMs: SILENT_MS + 1 });
    expect(view.restore).toBeNull();
    expect(view.partitions[0]).toBe(VIEW.partitions[0]);
    expect(view.partitions[1]).toMatchObject({ promoting: "b1" });
    const released = decide(begun, [step("release", { replicationIds })]).view;
    const waiting = decide(released, [], { beat, nowMs: SILENT_MS + 1 }).view;
    expect(waiting.partitions[0]).toBe(VIEW.partitions[0]);
    expect(waiting.partitions[1]?.needs).toContain("a restore of everything");
  });

  test("can't take over from one that restored more and broke off", () => {
    const whole = decide(VIEW, [step("begin")]).view;
    const beat = { token: "t", count: 1, atMs: 0 };
    const late = { beat, nowMs: SILENT_MS + 1 };
    const asked = step("begin", { token: "u", replicationIds });
    const { answers, view } = decide(whole, [asked], late);
    expect(answers[0]).toMatchObject({ state: "refused" });
    expect(view.restore?.token).toBe("t");
  });
});
