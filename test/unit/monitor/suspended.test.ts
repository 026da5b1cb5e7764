// The routers' lease is waited out while a silent master still has time to answer.
import { expect, test } from "vitest";
import { CONF, ONE_ACK, Scene, detached, servedScene } from "./situations.ts";

/** down-after is 1 s and lease 0.5 s: at 0.65 s and less the lease would end after it. */
function overdue(scene: Scene, silentInMs: number): Scene {
  const seen = scene.nodeObservations.get("a1");
  if (seen !== undefined) scene.nodeObservations.set("a1", { ...seen, silentInMs });
  return scene.step(10);
}

test("a master that owes an answer is suspended when the lease would otherwise end too late, and served when it answers", () => {
  const scene = overdue(servedScene(), 700);
  expect(scene.partition.suspended).toBeUndefined();
  const { revision } = overdue(scene, 650).view;
  expect(scene.partition).toMatchObject({ master: "a1", suspended: true });
  expect(scene.view.state).toBe("OK");
  expect(overdue(scene, 400).view.revision).toBe(revision);
  const seen = scene.nodeObservations.get("a1");
  scene.see("a1", seen?.info ?? "silent").step();
  expect(scene.partition.suspended).toBeUndefined();
});

test("with ack-replicas nothing is suspended: no lease is waited for", () => {
  expect(overdue(servedScene(ONE_ACK), 100).partition.suspended).toBeUndefined();
});

test("once it is down for certain, a lease since it was suspended is enough", () => {
  const scene = overdue(servedScene(), 600);
  scene.peers.set("m2", { confDigest: "d1", suspects: new Set(["a1"]) });
  scene.see("a1", "silent").step(560);
  expect(scene.partition).toMatchObject({ master: null, failover: { isKnownDead: false } });
  expect(scene.partition.suspended).toBeUndefined();
  scene.seeAll(detached(), "a2", "a3").step(5);
  expect(scene.partition.promoting).toBe("a2");
});

test("suspended too late, the rest of the lease is waited out", () => {
  const scene = overdue(servedScene(), 100);
  scene.peers.set("m2", { confDigest: "d1", suspects: new Set(["a1"]) });
  scene.see("a1", "silent").step(100);
  scene.seeAll(detached(), "a2", "a3").step(5);
  expect(scene.partition.promoting).toBeNull();
  expect(scene.step(450).partition.promoting).toBe("a2");
});

test("a master that only the alpha can't reach is served again when nobody agrees within half of down-after", () => {
  const scene = overdue(servedScene(CONF), 100);
  const silentFor = (silentForMs: number): Scene => {
    const seen = { reach: "silent", info: null, askedAtMs: 0, silentForMs } as const;
    scene.nodeObservations.set("a1", seen);
    return scene.step(10);
  };
  expect(silentFor(400).partition).toMatchObject({ master: "a1", suspended: true });
  expect(silentFor(500).partition.suspended).toBeUndefined();
  expect(scene.partition.master).toBe("a1");
});

test("while the alpha doubts itself nothing stays suspended", () => {
  const scene = overdue(servedScene(), 100).seeAll("silent", "a1", "a2", "a3");
  scene.cutOffForMs = 10;
  scene.step(10);
  expect(scene.view.undecided).toBeDefined();
  expect(scene.partition).toMatchObject({ master: "a1" });
  expect(scene.partition.suspended).toBeUndefined();
});
