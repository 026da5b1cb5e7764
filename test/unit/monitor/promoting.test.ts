import { expect, test } from "vitest";
import { actionsOf } from "../../../runtime/monitor/decide/actions.ts";
import { CONF, Scene, infoOf, masterInfo, servedScene } from "./situations.ts";

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

test("a replica whose promotion nobody saw still counts when it is back, and an empty last master does not", () => {
  const scene = servedScene(`${CONF}ack-replicas 2\n`);
  const detached = { runId: "run", replicationId: "h1", offset: 120, keys: 9 };
  scene.see("a1", "refused").step();
  scene.seeAll(infoOf(detached), "a2", "a3").step().step();
  expect(scene.partition.promoting).toBe("a2");
  // a2 obeys, and is cut off before anybody hears of it; the others lose what they had.
  scene.seeAll("refused", "a2", "a3").step();
  expect(scene.partition.promoting).toBeNull();
  scene.see("a1", infoOf({ runId: "new" })).see("a3", infoOf({ runId: "new" }));
  const promoted = { ...detached, replicationId: "h2", replicationId2: "h1", secondOffset: 121 };
  scene.see("a2", infoOf(promoted));
  scene.step().step(2000).step();
  expect(scene.partition.promoting).toBe("a2");
});

test("a node that restarted before it was chosen is promoted in one go", () => {
  // Method: the view knows a2 by an older run id; the choice is made of what answers now.
  const scene = new Scene()
    .seeAll(infoOf({ runId: "first" }), "a2", "a3")
    .see("a1", "refused")
    .step();
  scene.see("a2", infoOf({ runId: "second" })).step(2000);
  expect(scene.partition.promoting).toBe("a2");
  scene.see("a2", masterInfo({ runId: "second" })).step();
  expect(scene.partition).toMatchObject({ master: "a2", masterRunId: "second" });
});

test.each(["unknown", "silent", infoOf({ runId: "again" })] as const)(
  "nobody is told to follow a master that does not say that it is one (%#): Redis 6.2 would forget how far it is",
  (seen) => {
    const scene = servedScene().see("a2", infoOf({ runId: "n", replicationId: "h1" }));
    const asked = scene.step().last?.nodeHealth ?? new Map();
    expect(actionsOf(scene.view, asked)).toMatchObject([{ kind: "repoint", node: "a2" }]);
    const { view } = scene;
    const nodeHealth = scene.see("a1", seen).step().last?.nodeHealth ?? new Map();
    expect(actionsOf(view, nodeHealth)).toEqual([]);
  },
);
