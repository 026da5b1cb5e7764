// With ack-replicas 0 a last master may come back alone from its AOF, but not against evidence that others hold more.
import { expect, test } from "vitest";
import { infoOf, servedScene, type Scene } from "./situations.ts";

function outage(): Scene {
  return servedScene().seeAll("refused", "a1", "a2", "a3").step();
}

test("after status nodes were put back from old copies the old master is not taken over one that holds more", () => {
  // Method: by AOF, ack-replicas 0; a1 has all that the record knows of, a2 holds more than it was recorded with.
  const scene = outage();
  scene.lastSeen.set("a2", { replicationId: "h1", offset: 110, keys: 9 });
  scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 9 }));
  scene.see("a2", infoOf({ runId: "n", replicationId: "n", keys: 12 })).step(5000);
  expect(scene.partition.promoting ?? null).toBeNull();
  expect(scene.partition.needs).toContain("a2 holds 12");
  expect(scene.partition.needs).toContain("twine-failover --accept-loss a2");
});

test("a replica that was stopped before its master deleted keys does not keep the master from returning", () => {
  const scene = outage();
  scene.lastSeen.set("a1", { replicationId: "h1", offset: 150, keys: 9 });
  scene.lastSeen.set("a2", { replicationId: "h1", offset: 110, keys: 12 });
  scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 9 }));
  scene.see("a2", infoOf({ runId: "n", replicationId: "n", keys: 12 })).step(5000);
  expect(scene.partition.promoting).toBe("a1");
});

test("a node that still loads may hold more: it is waited for", () => {
  const scene = outage();
  scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 9 }));
  scene.see("a2", infoOf({ runId: "n", isLoading: true })).step(5000);
  expect(scene.partition.promoting ?? null).toBeNull();
});

test("of a last master that came back empty under appendonly yes the view says that a dump.rdb may lie there", () => {
  const scene = outage();
  const back = infoOf({ runId: "m", replicationId: "m" });
  scene.seeAll(infoOf({ runId: "n", replicationId: "n", keys: 9 }), "a2", "a3");
  scene.see("a1", back).step().step();
  expect(scene.partition.needs).not.toContain("dump.rdb");
  scene.see("a1", { ...back, isAppendOnly: true }).step();
  expect(scene.partition.needs).toMatch(
    /^the data of a1, its last master, which came back empty \(.*loads no dump\.rdb.*stop a1, remove appendonlydir there and start it.*\); or accept/,
  );
});
