// reshard.test.ts: the alpha's steps of a resharding, and every way back.
import { describe, expect, test } from "vitest";
import { canonicalConf, confDigest } from "../../../runtime/core/conf/digest.ts";
import { builtinHashing } from "../../../runtime/core/hashing.ts";
import { parseView } from "../../../runtime/core/parse-view.ts";
import type { NewMaster, Request, ReshardRequest } from "../../../runtime/core/request.ts";
import { builtinRouting, isMismatch } from "../../../runtime/core/routing.ts";
import { clusterMismatch } from "../../../runtime/core/same-cluster.ts";
import type { ReshardView, View } from "../../../runtime/core/view.ts";
import { actionsOf } from "../../../runtime/monitor/decide/actions.ts";
import type { NodeInfo } from "../../../runtime/monitor/decide/nodes/info.ts";
import type { NodeHealth } from "../../../runtime/monitor/decide/nodes/node-health.ts";
import {
  TOOL_SILENT_MS,
  decideReshard,
  type ReshardMemory,
} from "../../../runtime/monitor/decide/reshard/reshard.ts";
import { leadConflict } from "../../../runtime/monitor/decide/views/adopt-conf.ts";
import { firstView } from "../../../runtime/monitor/decide/views/first-view.ts";
import { guardedRouting } from "../../../runtime/register/guarded-routing.ts";
import { configOf, masterInfo } from "./situations.ts";

const OTHERS = "s1=status localhost 7101 0\nm1=monitor localhost 7201\nr1=router localhost 7301\n";
const OLD = configOf(
  `a1=data 0 localhost 7001 0\na2=data 0 localhost 7002 0\nb1=data 1 localhost 7003 1\n${OTHERS}`,
);
const NEW_TEXT =
  "c1=data 0 localhost 8001 0\nc2=data 0 localhost 8002 0\nd1=data 1 localhost 8003 0\ne1=data 2 localhost 8004 0\n";
const NEW = configOf(NEW_TEXT + OTHERS);
const MASTERS: readonly NewMaster[] = ["c1", "d1", "e1"].map((node) => ({
  ...{ node, runId: `run-${node}`, replicationId: `id-${node}` },
}));

const first = firstView(OLD, "old", "m1", "");
const SERVED: View = {
  ...first,
  state: "OK",
  partitions: first.partitions.map((partition, index) => {
    const master = index === 0 ? "a1" : "b1";
    return { ...partition, master, lastMaster: master, masterRunId: "run", replicationId: "h1" };
  }),
  nodes: first.nodes.map((node) =>
    node.kind === "data" ? { ...node, role: node.name === "a2" ? "replica" : "master" } : node,
  ),
};

type Step = Exclude<ReshardRequest, { step: "alive" }>["step"];

function ask(step: Step, more: Partial<ReshardRequest> = {}): Request {
  const known = { kind: "reshard", step, token: "t", by: "me", conf: "", masters: [] } as const;
  return {
    id: step,
    state: "asked",
    message: "",
    body: { ...known, ...more } as ReshardRequest,
  };
}

const begin = ask("begin", { conf: canonicalConf(NEW) });

function alive(count: number, state: Request["state"] = "asked"): Request {
  const body = { kind: "reshard", step: "alive", token: "t", count } as const;
  return { id: "alive", state, message: "", body };
}

function up(changes: Partial<NodeInfo>, askedAtMs = 100): NodeHealth {
  return { kind: "up", info: masterInfo({ offset: 50, ...changes }), askedAtMs };
}
const FENCED = { role: "replica", following: { host: "127.0.0.1", port: 1 } } as const;
const bothUp = (changes: Partial<NodeInfo> = {}): Map<string, NodeHealth> =>
  new Map([
    ["a1", up(changes)],
    ["b1", up({ ...changes, offset: 70 })],
  ]);

interface More {
  readonly nodeHealth?: ReadonlyMap<string, NodeHealth>;
  readonly memory?: ReshardMemory;
  readonly nowMs?: number;
  readonly isPaused?: boolean;
  readonly acknowledgedAtMs?: number;
}

function decide(view: View, requests: readonly Request[], more: More = {}) {
  const { nodeHealth = bothUp(), isPaused = false, acknowledgedAtMs = 50 } = more;
  const pause = { sinceMs: 60, untilMs: 10_000 };
  return decideReshard({
    ...{ view, requests, nodeHealth, memory: more.memory, nowMs: more.nowMs ?? 200 },
    pauses: new Map(isPaused ? ["a1", "b1"].map((name) => [name, pause]) : []),
    acknowledgedAtMs: new Map(["a1", "b1"].map((name) => [name, acknowledgedAtMs])),
    ...{ switchMsMax: 5000, wallTime: "now" },
  });
}

const copying = (): View => decide(SERVED, [begin]).view;
const inPhase = (phase: ReshardView["phase"]): View => {
  const view = copying();
  return view.reshard ? { ...view, reshard: { ...view.reshard, phase } } : view;
};
const committed = (): View =>
  decide(inPhase("fenced"), [ask("commit", { masters: MASTERS })], {
    nodeHealth: bothUp(FENCED),
  }).view;

describe("a resharding begins", () => {
  test("while the cluster serves on, and the record names how the keys will be divided", () => {
    const { view, answers } = decide(SERVED, [begin]);
    expect(answers).toMatchObject([{ state: "done" }]);
    expect(view).toEqual({ ...SERVED, reshard: view.reshard });
    expect(view.reshard).toMatchObject({ phase: "copying", token: "t", since: "now" });
    expect(view.reshard?.hashing).toEqual(builtinHashing(NEW.settings));
    // The next decision is free: failovers go on.
    expect(decide(view, [alive(1)]).isFrozen).toBe(false);
    expect(parseView(JSON.stringify(view))).toEqual(view);
  });

  test.each([
    ["divides the keys as the cluster does", canonicalConf(OLD)],
    [
      "a1 at 127.0.0.1:8001 is a node",
      canonicalConf(configOf(NEW_TEXT.replace("c1", "a1") + OTHERS)),
    ],
    [
      "127.0.0.1:7001 is a node",
      canonicalConf(configOf(NEW_TEXT.replace("8001", "7001") + OTHERS)),
    ],
    [
      "monitor m1 at 127.0.0.1:7201",
      canonicalConf(configOf(NEW_TEXT + OTHERS.replace("7201", "7209"))),
    ],
    ["cluster is named twine", canonicalConf(configOf(`cluster other\n${NEW_TEXT}${OTHERS}`))],
    [
      "names a module or an executable as hash",
      canonicalConf(configOf(`hash ./mine.mjs\n${NEW_TEXT}${OTHERS}`)),
    ],
    ["can't read", "partitions many"],
  ])("never where %s", (why, conf) => {
    const { view, answers } = decide(SERVED, [ask("begin", { conf })]);
    expect(view).toBe(SERVED);
    expect(answers[0]?.message).toContain(why);
  });

  test("not beside a rotation of the password: the new nodes would keep the old one", () => {
    const phase = "both";
    const rotation = { target: "f", phase, since: "then", without: [], finished: [] } as const;
    const view = { ...SERVED, rotation };
    const decision = decide(view, [begin]);
    expect(decision.view).toBe(view);
    expect(decision.answers[0]?.message).toContain("the password is being rotated");
  });

  test("not beside another one, unless that one's tool has died", () => {
    const second = ask("begin", { conf: canonicalConf(NEW), token: "other" });
    expect(decide(copying(), [second, alive(1)]).answers[0]?.message).toContain(
      "by me is under way",
    );
    const { view } = decide(copying(), [second, alive(1, "done")]);
    expect(view.reshard?.token).toBe("other");
  });
});

describe("a switch goes", () => {
  test("from the pause of every master to their offsets, which the tool copies up to", () => {
    const pausing = decide(copying(), [ask("switch")]).view;
    expect(pausing.reshard?.phase).toBe("pausing");
    const memory = { pauses: new Map(), nowMs: 200, attemptMs: 1000 };
    expect(actionsOf(pausing, bothUp(), memory)).toMatchObject([
      { kind: "pause", node: "a1", waitersFirst: true },
      { kind: "pause", node: "b1" },
    ]);
    expect(decide(pausing, []).view).toBe(pausing);
    const { view } = decide(pausing, [], { isPaused: true });
    expect(view.reshard).toMatchObject({
      phase: "draining",
      marks: [
        { node: "a1", replicationId: "h1", offset: 50 },
        { node: "b1", replicationId: "h1", offset: 70 },
      ],
    });
  });

  test("to the fence only when the tool asks, and to its end only when every master shows that it is detached", () => {
    expect(decide(inPhase("draining"), []).view.reshard?.phase).toBe("draining");
    const fencing = decide(inPhase("draining"), [ask("fence")]).view;
    expect(fencing.reshard?.phase).toBe("fencing");
    const memory = { pauses: new Map(), nowMs: 200, attemptMs: 1000 };
    expect(actionsOf(fencing, bothUp(), memory).map(({ kind }) => kind)).toEqual([
      "step-down",
      "step-down",
    ]);
    const half = new Map([...bothUp(), ["a1", up(FENCED)] as const]);
    expect(decide(fencing, [], { nodeHealth: half }).view).toBe(fencing);
    // An INFO from before the last command proves nothing.
    const isOld = { nodeHealth: bothUp(FENCED), acknowledgedAtMs: 150 };
    expect(decide(fencing, [], isOld).view).toBe(fencing);
    const fenced = decide(fencing, [], { nodeHealth: bothUp(FENCED) }).view;
    expect(fenced.reshard).toMatchObject({
      phase: "fenced",
      marks: [{ offset: 50 }, { offset: 70 }],
    });
    expect(actionsOf(fenced, bothUp(FENCED), memory)).toEqual([]);
  });

  test("to the new partitions with their masters, and nothing else of the cluster changes", () => {
    const view = committed();
    expect(view.reshard).toBeUndefined();
    expect(view.hashing).toEqual(builtinHashing(NEW.settings));
    expect(view.confDigest).toBe(confDigest(NEW));
    expect(view.partitions.map(({ master, masterRunId }) => [master, masterRunId])).toEqual([
      ["c1", "run-c1"],
      ["d1", "run-d1"],
      ["e1", "run-e1"],
    ]);
    expect(view.partitions[0]?.dead).toEqual(["c2"]);
    expect(view.nodes.filter(({ kind }) => kind !== "data")).toEqual(
      SERVED.nodes.filter(({ kind }) => kind !== "data"),
    );
    expect(view.resharded).toMatchObject({ at: "now", hashings: [SERVED.hashing] });
    expect(parseView(JSON.stringify(view))).toEqual(view);
  });

  test.each([
    ["before the fence", "draining" as const, MASTERS],
    ["with too few masters", "fenced" as const, MASTERS.slice(1)],
    ["with a master of another partition", "fenced" as const, MASTERS.toReversed()],
  ])("never to its end %s", (_, phase, masters) => {
    const view = inPhase(phase);
    const decided = decide(view, [ask("commit", { masters })]);
    expect(decided.answers).toMatchObject([{ state: "refused" }]);
    expect(decided.view.partitions).toBe(view.partitions);
  });

  test("not while a partition is getting another master", () => {
    const view = copying();
    const partitions = view.partitions.map((one) => ({ ...one, promoting: "a2" }));
    expect(decide({ ...view, partitions }, [ask("switch")]).answers[0]).toMatchObject({
      state: "refused",
    });
  });
});

describe("the old masters serve again", () => {
  const undo = (view: View, requests: readonly Request[], more: More = {}) =>
    decide(view, requests, more).view.reshard;

  test("when a master is lost before the fence", () => {
    for (const phase of ["pausing", "draining", "fencing"] as const) {
      const nodeHealth = new Map([
        ...bothUp(),
        ["b1", { kind: "down" as const, isRefused: true }] as const,
      ]);
      expect(undo(inPhase(phase), [], { nodeHealth })).toMatchObject({
        phase: "undoing",
        failed: expect.stringContaining("partition 1") as string,
      });
      const restarted = new Map([...bothUp(), ["b1", up({ runId: "another" })] as const]);
      expect(undo(inPhase(phase), [], { nodeHealth: restarted })?.phase).toBe("undoing");
    }
    // The tool may have everything already.
    const nodeHealth = new Map([
      ...bothUp(FENCED),
      ["b1", { kind: "down" as const, isRefused: true }] as const,
    ]);
    expect(undo(inPhase("fenced"), [], { nodeHealth })?.phase).toBe("fenced");
  });

  test("when the switch takes too long, and when the tool has died or cancels", () => {
    const memory = { token: "t", count: 1, beatAtMs: 0, switchSinceMs: 0 };
    expect(undo(inPhase("fenced"), [], { memory, nowMs: 4999 })?.phase).toBe("fenced");
    expect(undo(inPhase("fenced"), [], { memory, nowMs: 5001 })).toMatchObject({
      ...{ phase: "undoing", isCancelled: false },
    });
    expect(undo(inPhase("fenced"), [alive(2, "done")], { memory })).toMatchObject({
      ...{ phase: "undoing", isCancelled: true },
    });
    expect(undo(inPhase("fenced"), [ask("cancel")])).toMatchObject({
      ...{ phase: "undoing", isCancelled: true },
    });
  });

  test("each that was detached is promoted again, when no command can still reach it", () => {
    const half = new Map([...bothUp(), ["a1", up({ ...FENCED })] as const]);
    const view = inPhase("undoing");
    expect(decide(view, [], { nodeHealth: half, acknowledgedAtMs: 150 }).view).toBe(view);
    const { view: next } = decide(view, [], { nodeHealth: half });
    expect(next.reshard?.phase).toBe("copying");
    expect(next.partitions).toMatchObject([
      { master: null, lastMaster: "a1", promoting: "a1" },
      { master: "b1" },
    ]);
  });

  test("a tool that dies while it copies leaves nothing behind", () => {
    const before = decide(copying(), [alive(1)], { nowMs: 0 });
    const memory = before.memory as ReshardMemory;
    expect(
      decide(copying(), [alive(1)], { memory, nowMs: TOOL_SILENT_MS }).view.reshard,
    ).toBeDefined();
    const { view } = decide(copying(), [alive(1)], { memory, nowMs: TOOL_SILENT_MS + 1 });
    expect(view).toEqual(SERVED);
  });
});

describe("the way back of a commit", () => {
  const commit = ask("commit", { masters: MASTERS, conf: canonicalConf(OLD) });
  const kept = (): View => decide(inPhase("fenced"), [commit], { nodeHealth: bothUp(FENCED) }).view;
  const OLD_MASTERS: readonly NewMaster[] = ["a1", "b1"].map((node) => ({
    ...{ node, runId: `run-${node}`, replicationId: `id-${node}` },
  }));

  test("is a record of the same tool that leads to the partitions from before", () => {
    const view = kept();
    expect(view).toMatchObject({ ...committed(), reshard: view.reshard });
    expect(view.reshard).toMatchObject({ token: "t", phase: "keeping", isBack: true });
    expect(view.reshard?.hashing).toEqual(SERVED.hashing);
    expect(parseView(JSON.stringify(view))).toEqual(view);
    // Failovers go on, and nothing is switched before somebody asks.
    expect(decide(view, [alive(1)]).isFrozen).toBe(false);
    expect(decide(view, [ask("switch")]).answers).toMatchObject([{ state: "refused" }]);
  });

  test("a commit whose twine.conf from before can't be read is done without it", () => {
    const { view, answers } = decide(
      inPhase("fenced"),
      [ask("commit", { masters: MASTERS, conf: "partitions many" })],
      { nodeHealth: bothUp(FENCED) },
    );
    expect(answers).toMatchObject([
      { state: "done", message: expect.stringContaining("no way back") as string },
    ]);
    expect(view).toEqual(committed());
  });

  test("a commit that is asked again is done, and cancel and undo are refused: the new nodes are not emptied", () => {
    expect(decide(kept(), [commit]).answers).toMatchObject([{ state: "done" }]);
    for (const step of ["cancel", "undo"] as const) {
      const { view, answers } = decide(kept(), [ask(step)]);
      expect([step, answers[0]?.state, view.reshard?.phase]).toEqual([step, "refused", "keeping"]);
    }
    expect(decide(copying(), [ask("stay")]).answers).toMatchObject([{ state: "refused" }]);
  });

  test("is taken by `back`, then switched as any other, and ends without another one", () => {
    expect(decide(copying(), [ask("back")]).answers).toMatchObject([{ state: "refused" }]);
    const copied = decide(kept(), [ask("back")]).view;
    expect(copied.reshard).toMatchObject({ phase: "copying", isBack: true });
    expect(decide(copied, [ask("switch")]).view.reshard?.phase).toBe("pausing");
    const fenced: View = {
      ...copied,
      ...(copied.reshard && { reshard: { ...copied.reshard, phase: "fenced" } }),
    };
    const back = decide(fenced, [ask("commit", { masters: OLD_MASTERS })]).view;
    expect(back.reshard).toBeUndefined();
    expect(back.partitions.map(({ master }) => master)).toEqual(["a1", "b1"]);
    expect([back.confDigest, back.hashing]).toEqual([confDigest(OLD), SERVED.hashing]);
  });

  test("ends when the tool has died or says so, and nothing else changes", () => {
    for (const request of [alive(2, "done"), ask("stay")]) {
      expect(decide(kept(), [request]).view).toEqual(committed());
    }
    const second = ask("begin", { conf: canonicalConf(OLD), token: "other" });
    expect(decide(kept(), [second, alive(1)]).answers[0]?.message).toContain("the way back of");
  });
});

describe("a process with the twine.conf from before", () => {
  const guarded = guardedRouting(OLD, {
    hashing: builtinHashing(OLD.settings),
    partitionOf: (key) => builtinRouting({ hash: "crc32", partitions: 2 }).partitionOf(key),
    close: () => Promise.resolve(),
  });

  test("routes by the new partitions, the same object for every view", () => {
    const before = guarded.of(SERVED);
    expect(guarded.of(copying())).toBe(before);
    const after = guarded.of(committed());
    if (isMismatch(after) || isMismatch(before)) throw new Error("not routed");
    expect([before.partitions, after.partitions]).toEqual([2, 3]);
    expect(guarded.of(committed())).toBe(after);
  });

  test("asks for a confirmed view before it reads, as long as keys may move", () => {
    const routing = guarded.of(SERVED);
    if (isMismatch(routing)) throw new Error("not routed");
    expect(routing.readsNeedConfirmation?.(0)).toBe(false);
    guarded.of(copying());
    expect(routing.readsNeedConfirmation?.(0)).toBe(true);
  });

  test("recognizes its cluster, and may lead it by the adopted file", () => {
    expect(clusterMismatch(committed(), OLD)).toBeUndefined();
    expect(leadConflict(committed(), OLD)).toBeUndefined();
    const { resharded: _, ...unknown } = committed();
    expect(clusterMismatch(unknown, OLD)).toContain("another cluster");
    expect(leadConflict(unknown, OLD)).toContain("3 partitions");
  });
});
