// Method: a served scene of a1 (master), a2, a3, asked for a handover.
import { describe, expect, test } from "vitest";
import type { Request, RequestBody } from "../../../runtime/core/request.ts";
import { judgeHandover } from "../../../runtime/monitor/decide/handover/handover-wish.ts";
import { masterInfo, replicaOf, servedScene, type Scene } from "./situations.ts";

function asked(body: RequestBody): Request {
  return { id: "r1", body, state: "asked", message: "" };
}

/** Asks, and takes one decision. */
function ask(scene: Scene, kind: "handover" | "promote-to", node: string): Scene {
  scene.requests = [asked({ kind, node })];
  return scene.step(50);
}

const answerOf = ({ last }: Scene): string | undefined =>
  last?.answers.map(({ state, message }) => `${state}: ${message}`)[0];

describe("an answer at once", () => {
  test.each([
    ["promote-to", "a9", "refused: the cluster has no data node a9"],
    ["promote-to", "m1", "refused: the cluster has no data node m1"],
    ["promote-to", "a1", "done: a1 is master of partition 0"],
    ["handover", "a2", "done: a2 is no master; a1 is master of partition 0"],
  ] as const)("%s %s", (kind, node, answer) => {
    const scene = ask(servedScene(), kind, node);
    expect(answerOf(scene)).toBe(answer);
    expect(scene.partition.handover ?? null).toBeNull();
  });
});

describe("a replica that can't take over is named with the reason", () => {
  test.each([
    ["is dead", (scene: Scene) => scene.see("a2", "refused")],
    ["does not answer", (scene: Scene) => scene.see("a2", "silent")],
    [
      "is loading its data",
      (scene: Scene) => scene.see("a2", replicaOf("a1", { isLoading: true })),
    ],
    [
      "refuses writes: its last write to the AOF failed",
      (scene: Scene) => {
        const refusal = { kind: "aof", limit: "" } as const;
        return scene.see("a2", replicaOf("a1", { isDiskWell: false, refusal }));
      },
    ],
    [
      "is behind a1",
      (scene: Scene) => scene.see("a2", replicaOf("a1", { isLinkUp: false })).step(50),
    ],
  ])("%s", (why, change) => {
    const scene = servedScene();
    change(scene);
    ask(scene, "promote-to", "a2");
    expect(answerOf(scene)).toBe(`refused: no replica of partition 0 can take over: a2 ${why}`);
  });

  test("a node that stops passes over those that can't, and all of them are named when none can", () => {
    const scene = servedScene()
      .see("a2", "refused")
      .see("a3", replicaOf("a1", { offset: 110, keys: 9 }));
    ask(scene, "handover", "a1");
    expect(scene.partition.handover).toEqual({ from: "a1", to: "a3", phase: "pause" });
    const alone = servedScene().seeAll("refused", "a2", "a3");
    ask(alone, "handover", "a1");
    expect(answerOf(alone)).toBe(
      "refused: no replica of partition 0 can take over: a2 is dead; a3 is dead",
    );
  });
});

test("while a master is looked for the request waits; one that needs something first is refused", () => {
  const scene = servedScene();
  const judged = (needs: string | null): string => {
    const partitions = [{ ...scene.partition, master: null, promoting: null, needs }];
    const view = { ...scene.view, partitions };
    const input = { view, nodeHealth: new Map(), nowMs: 0, freshMs: 100 };
    const verdict = judgeHandover({ kind: "promote-to", node: "a2" }, input);
    return "message" in verdict ? verdict.message : verdict.kind;
  };
  expect(judged(null)).toBe("wait");
  expect(judged("a node of it")).toBe(
    "partition 0 has no master that could hand over to a2; it needs: a node of it",
  );
});

test("an old word of a replica is not enough: the request waits for a newer one", () => {
  const scene = servedScene();
  scene.step(600);
  scene.requests = [asked({ kind: "promote-to", node: "a2" })];
  scene.step(50);
  expect(scene.last?.answers).toEqual([]);
  expect(scene.partition.handover ?? null).toBeNull();
  scene.see("a2", replicaOf("a1", { offset: 110, keys: 9 })).step(50);
  expect(scene.partition.handover).toMatchObject({ to: "a2" });
});

test("the request is done when the view shows it, whichever alpha is asked then", () => {
  const scene = ask(servedScene(), "promote-to", "a2");
  expect(scene.last?.answers).toEqual([]);
  scene.step(10).see("a1", masterInfo({ offset: 110, keys: 9 }));
  scene.see("a2", replicaOf("a1", { offset: 110, keys: 9 })).step(10);
  expect(scene.partition.handover).toMatchObject({ to: "a2" });
  const nowhere = { host: "127.0.0.1", port: 1 };
  const { revision } = scene.view;
  const afterwards = { isLinkUp: false, offset: 110, keys: 9 };
  scene.see("a1", replicaOf("a1", { ...afterwards, following: nowhere }));
  for (const name of ["a2", "a3"]) scene.see(name, replicaOf("a1", afterwards));
  scene.step(10);
  expect(scene.partition).toMatchObject({ master: "a1", handover: { to: "a2" } });
  // Its clients would wait for a majority of the status nodes to store what the replicas report meanwhile.
  expect(scene.view.revision).toBe(revision);
  expect([...(scene.last?.takingOver ?? [])]).toEqual(["a2"]);
  expect(scene.last?.answers).toEqual([]);
  const promoted = { replicationId: "h2", replicationId2: "h1", secondOffset: 111, keys: 9 };
  scene.see("a2", masterInfo({ ...promoted, offset: 110 })).step(10);
  expect(scene.partition).toMatchObject({ master: "a2", promoting: null, handover: null });
  expect(scene.view.nodes.find(({ name }) => name === "a2")?.role).toBe("master");
  scene.step(10);
  expect(answerOf(scene)).toBe("done: a2 is master of partition 0");
});

test("a handover that fails is answered with the reason in the same decision", () => {
  const scene = ask(servedScene(), "promote-to", "a2");
  scene.see("a2", "refused").step(50);
  expect(scene.partition).toMatchObject({ master: "a1", handover: null });
  expect(answerOf(scene)).toBe("refused: the handover was taken back: a2 died");
});

test("when the chosen node dies in the moment of its promotion, the old master serves again", () => {
  const scene = ask(servedScene(), "promote-to", "a2");
  scene.pauses.set("a1", { sinceMs: scene.nowMs, untilMs: scene.nowMs + 4000 });
  scene.step(10).see("a1", masterInfo({ offset: 110, keys: 9 }));
  scene.see("a2", replicaOf("a1", { offset: 110, keys: 9 })).step(10);
  const nowhere = { following: { host: "127.0.0.1", port: 1 }, isLinkUp: false };
  scene.see("a1", replicaOf("a1", { ...nowhere, offset: 110, keys: 9 })).step(10);
  expect([...(scene.last?.takingOver ?? [])]).toEqual(["a2"]);
  scene.see("a2", "refused").see("a3", replicaOf("a1", { ...nowhere, offset: 110, keys: 9 }));
  scene.step(10).step(10);
  expect(scene.partition).toMatchObject({ master: null, promoting: "a1" });
});
