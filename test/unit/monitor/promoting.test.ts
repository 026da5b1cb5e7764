import { expect, test } from "vitest";
import { Scene, infoOf, masterInfo } from "./situations.ts";

/** a1 is chosen as first master, and has not said yet that it is one. */
function promotingScene(): Scene {
  const scene = new Scene().seeAll(infoOf({ runId: "first" }), "a1", "a2", "a3").step();
  expect(scene.partition.promoting).toBe("a1");
  return scene;
}

test("a node that restarted on its way to being master is not promoted, however often it is looked at", () => {
  // Method: a new alpha first looks without the record of what was seen last, when it decides nothing; the run id of
  // the process that answers must not replace that of the one that was chosen.
  const scene = promotingScene();
  scene.isLastSeenRead = false;
  scene
    .see("a1", infoOf({ runId: "second" }))
    .step()
    .step();
  scene.isLastSeenRead = true;
  scene.step();
  expect(scene.partition.promoting).toBeNull();
});

test("the process that was chosen becomes master under its own run id", () => {
  const scene = promotingScene();
  scene.see("a1", masterInfo({ runId: "first" })).step();
  expect(scene.partition).toMatchObject({ master: "a1", masterRunId: "first" });
});
