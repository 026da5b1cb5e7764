// Method: a served scene in which a2 was rescued, asked to tell no more of it.
import { expect, test } from "vitest";
import type { Rescue } from "../../../runtime/core/view.ts";
import { servedScene, type Scene } from "./situations.ts";

function rescued(changes: Partial<Rescue> = {}): Scene {
  const scene = servedScene();
  const runId = scene.view.nodes.find(({ name }) => name === "a2")?.runId ?? "";
  const rescue: Rescue = { runId, kind: "saved", place: "m1:/a2.rdb", why: "", at: "", ...changes };
  const nodes = scene.view.nodes.map((node) => (node.name === "a2" ? { ...node, rescue } : node));
  scene.view = { ...scene.view, nodes };
  return scene;
}

function ask(scene: Scene, node: string): Scene {
  scene.requests = [
    { id: "r1", body: { kind: "forget-rescue", node }, state: "asked", message: "" },
  ];
  return scene.step(50);
}

const answerOf = ({ last }: Scene): string | undefined =>
  last?.answers.map(({ state, message }) => `${state}: ${message}`)[0];

test("what was saved is marked as seen, and told as done once the view says so; again is done too", () => {
  const scene = ask(rescued(), "a2");
  expect(answerOf(scene)).toBeUndefined();
  expect(scene.view.nodes.find(({ name }) => name === "a2")?.rescue).toMatchObject({
    isSeen: true,
  });
  const done = "done: the rescue of a2 is no longer shown; the file stays at m1:/a2.rdb";
  expect(answerOf(scene.step(50))).toBe(done);
  const revision = scene.view.revision;
  expect(answerOf(ask(scene, "a2"))).toBe(done);
  expect(scene.view.revision).toBe(revision);
});

test("somebody who has seen to a rescue has seen to those before it, and is told where all files stay", () => {
  const scene = rescued();
  const nodes = scene.view.nodes.map((node) =>
    node.name === "a2" && node.rescue !== undefined
      ? { ...node, earlierRescues: [{ ...node.rescue, place: "m2:/a2-first.rdb" }] }
      : node,
  );
  scene.view = { ...scene.view, nodes };
  const done =
    "done: the rescue of a2 is no longer shown; the files stay at m2:/a2-first.rdb, m1:/a2.rdb";
  expect(answerOf(ask(scene, "a2").step(50))).toBe(done);
});

test.each([
  ["a1", "done: nothing was rescued from a1"],
  ["a9", "refused: the cluster has no data node a9"],
  ["m1", "refused: the cluster has no data node m1"],
])("%s: %s", (node, answer) => {
  expect(answerOf(ask(rescued(), node))).toBe(answer);
});

test("what could not be saved must not be forgotten", () => {
  const scene = ask(rescued({ kind: "kept", place: null, why: "full" }), "a2");
  expect(answerOf(scene)).toContain("refused: the writes that only a2 holds could not be saved");
});
