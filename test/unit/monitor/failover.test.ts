import { describe, expect, test } from "vitest";
import { actionsOf } from "../../../runtime/monitor/decide/actions.ts";
import { inheritedView } from "../../../runtime/monitor/decide/views/first-view.ts";
import { transitionsBetween } from "../../../runtime/monitor/decide/views/transitions.ts";
import {
  crashed,
  detached,
  hung,
  infoOf,
  masterInfo,
  ONE_ACK,
  replicaOf,
  Scene,
  servedScene,
} from "./situations.ts";

const LEASE_MS = 500;

function actionsIn(scene: Scene): string[] {
  const { last, nowMs, view } = scene;
  const draining = last?.draining ?? new Set();
  const memory = { pauses: new Map(), nowMs, attemptMs: 2000, draining };
  return actionsOf(view, last?.nodeHealth ?? new Map(), memory).map(
    (action) => `${action.kind} ${action.node}`,
  );
}

describe("the failover of a master whose port refuses", () => {
  test("no master is published with all that another alpha needs, and the replicas are detached", () => {
    const scene = crashed();
    expect(scene.partition).toMatchObject({ master: null, lastMaster: "a1", promoting: null });
    expect(scene.partition.failover).toEqual({
      from: "a1",
      isKnownDead: true,
      replicas: [
        { name: "a2", runId: "run", inSync: true },
        { name: "a3", runId: "run", inSync: true },
      ],
    });
    expect([scene.role("a2"), scene.role("a3")]).toEqual(["replica", "replica"]);
  });

  test("a replica is detached when it has read all that the dead master sent, or after half of down-after", () => {
    const scene = crashed();
    expect(actionsIn(scene)).toEqual([]);
    scene.see("a2", replicaOf("a1", { offset: 120, isLinkUp: false })).step(20);
    expect(actionsIn(scene)).toEqual(["detach a2"]);
    scene.step(500);
    expect(actionsIn(scene)).toEqual(["detach a2", "detach a3"]);
  });

  test("replicas of a master that may live follow it until no router writes to it any more", () => {
    const scene = hung();
    expect(actionsIn(scene)).toEqual([]);
    expect(actionsIn(scene.step(LEASE_MS))).toEqual([]);
    expect(actionsIn(scene.step(LEASE_MS / 10 + 1))).toEqual(["detach a2", "detach a3"]);
    expect(scene.partition).toMatchObject({ promoting: null, needs: null });
    scene.seeAll(detached(), "a2", "a3").step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("with ack-replicas they are detached at once: that is what fences it", () => {
    expect(actionsIn(hung(ONE_ACK))).toEqual(["detach a2", "detach a3"]);
  });

  test("the detached replica with the highest offset is promoted, published, and followed by the others", () => {
    const scene = crashed().see("a2", detached(120)).see("a3", detached(130)).step(5);
    expect(scene.partition).toMatchObject({ master: null, promoting: "a3", needs: null });
    expect(actionsIn(scene)).toEqual(["promote a3"]);
    scene.busy.add("a3");
    scene.see("a3", masterInfo({ offset: 130, replicationId: "h2" })).step(5);
    expect(scene.role("a3")).toBe("replica");
    scene.busy.clear();
    scene.see("a3", masterInfo({ offset: 130, replicationId: "h2" })).step(5);
    expect(scene.partition).toMatchObject({ master: "a3", promoting: null, failover: null });
    expect(scene.partition.replicationId).toBe("h2");
    expect(actionsIn(scene)).toEqual(["repoint a2"]);
    expect(scene.role("a2")).toBe("replica");
  });

  test("the first of two that are equally far is promoted", () => {
    const scene = crashed().seeAll(detached(120), "a2", "a3").step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("it is told as +failover and, when another one serves, as -failover", () => {
    const scene = servedScene();
    const served = scene.view;
    scene.see("a1", "refused").step();
    const lost = transitionsBetween(served, scene.view).map(({ event }) => event);
    expect(lost).toContain("+failover");
    const before = scene.seeAll(detached(), "a2", "a3").step(5).view;
    scene.see("a2", masterInfo({ offset: 110 })).step(5);
    expect(transitionsBetween(before, scene.view)).toContainEqual({
      event: "-failover",
      fields: { partition: 0, from: "a1", to: "a2" },
    });
  });

  test("a replica that answers is waited for until it stands still, and no longer than down-after", () => {
    const scene = crashed().see("a2", detached(120)).step(5);
    expect(scene.partition).toMatchObject({ promoting: null, needs: null });
    scene.see("a3", replicaOf("a1", { offset: 200 })).step(900);
    expect(scene.partition).toMatchObject({ promoting: null, needs: null });
    scene.step(200);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("a replica that is dead or suspect is not waited for", () => {
    for (const seen of ["refused", "silent"] as const) {
      const scene = crashed().see("a2", seen).see("a3", detached(120)).step(5);
      expect(scene.partition.promoting).toBe("a3");
    }
  });

  test("a replica that nothing is known of yet is waited for, down-after at most", () => {
    const scene = crashed().see("a2", "unknown").see("a3", detached(120)).step(5);
    expect(scene.partition.promoting).toBeNull();
    scene.step(1000);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("what a replica said before the action on it was answered proves nothing", () => {
    const scene = crashed().seeAll(detached(), "a2", "a3");
    scene.busy.add("a2");
    scene.step(5);
    expect(scene.partition).toMatchObject({ promoting: null, needs: null });
    scene.busy.clear();
    scene.step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("one that says it is master before the promotion is answered is not published", () => {
    const scene = crashed().seeAll(detached(), "a2", "a3").step(5);
    scene.busy.add("a2");
    scene.see("a2", masterInfo()).step(5);
    expect(scene.partition).toMatchObject({ master: null, promoting: "a2" });
  });

  test("a restarted master is no better than a dead one: its replicas take over", () => {
    const scene = servedScene();
    scene.see("a1", infoOf({ runId: "again", replicationId: "new", keys: 9 })).step();
    expect(scene.partition.failover).toMatchObject({ from: "a1", isKnownDead: true });
    scene.seeAll(detached(), "a2", "a3").step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test.each([
    ["restarted since", detached(110, { runId: "again" })],
    ["is on another history", detached(110, { replicationId: "h9" })],
    ["was emptied by a full sync that broke off", detached(1, { isEmptied: true, keys: 4 })],
    ["loads", detached(110, { isLoading: true })],
    ["can't write to its disk", detached(110, { isDiskWell: false })],
  ])("a replica that %s is not promoted, and the view names the way out", (_what, info) => {
    const scene = crashed().seeAll(info, "a2", "a3").step(5).step(2000);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toContain("a1 back with its data: it was the last master");
  });

  test("one of several that can't be promoted does not stand in another's way", () => {
    const scene = crashed()
      .see("a2", detached(500, { isLoading: true }))
      .see("a3", detached());
    expect(scene.step(5).partition.promoting).toBe("a3");
  });

  test("a replica that was behind is promoted only when it has reached what the master was seen to have", () => {
    const scene = servedScene();
    scene.seeAll(replicaOf("a1", { offset: 100, isLinkUp: false, keys: 9 }), "a2", "a3").step();
    expect([scene.inSync("a2"), scene.inSync("a3")]).toEqual([false, false]);
    scene.see("a1", "refused").step();
    scene.seeAll(detached(100), "a2", "a3").step(5);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toContain("twine-failover --accept-loss a2");
    scene.see("a3", detached(110)).step(5);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("a partition that loses its new master before the others follow it halts: they lack what it took", () => {
    const scene = crashed().see("a2", detached(120)).see("a3", detached(120)).step(5);
    scene.see("a2", masterInfo({ offset: 120, replicationId: "h2" })).step(5);
    scene.see("a2", "refused").step(5).step(5);
    expect(scene.partition).toMatchObject({ master: null, promoting: null, lastMaster: "a2" });
    expect(scene.partition.needs).toContain("a2 back with its data");
  });

  test("one replica after the other takes over, down to the last node", () => {
    const scene = crashed().see("a2", detached(120)).see("a3", detached(120)).step(5);
    const listed = [{ ip: "127.0.0.1", port: 7003, isOnline: true }];
    const master = masterInfo({ offset: 120, replicationId: "h2", replicas: listed });
    scene.see("a2", master).step(5);
    for (const offset of [120, 130]) {
      scene.see("a3", replicaOf("a2", { replicationId: "h2", offset: 130 }));
      scene.see("a2", { ...master, offset }).step();
    }
    scene.see("a2", { ...master, offset: 130 }).step();
    expect(scene.inSync("a3")).toBe(true);
    scene.see("a2", "refused").step();
    scene.see("a3", detached(130, { replicationId: "h2" })).step(5);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("the chosen one dies on the way: another one is chosen", () => {
    const scene = crashed().seeAll(detached(), "a2", "a3").step(5);
    scene.see("a2", "refused").step(5);
    expect(scene.partition.promoting).toBeNull();
    scene.step(5);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("an alpha that takes over goes on from the view alone", () => {
    const scene = crashed();
    scene.view = inheritedView(scene.view, "m2", "2026-01-01T00:00:02.000Z");
    scene.withoutMasterSince = new Map();
    scene.heldSince = new Map();
    scene.seeAll("unknown", "a2", "a3").step(5);
    expect(scene.partition.promoting).toBeNull();
    scene.seeAll(detached(), "a2", "a3").step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("a master that was only cut off and never left is master again while nobody else was chosen", () => {
    const scene = servedScene();
    const info = scene.nodeObservations.get("a1")?.info ?? "unknown";
    scene.see("a1", "refused").step();
    scene.see("a1", info).step(5);
    expect(scene.partition.promoting).toBe("a1");
  });
});

describe("the failover of a master that only fell silent", () => {
  test("nobody is promoted before the routers' lease and a margin are over", () => {
    const scene = hung().seeAll(detached(), "a2", "a3").step(5);
    expect(scene.partition.failover?.isKnownDead).toBe(false);
    expect(scene.partition).toMatchObject({ promoting: null, needs: null });
    scene.step(LEASE_MS);
    expect(scene.partition.promoting).toBeNull();
    scene.step(LEASE_MS / 10);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("once its port refuses it is known dead and nothing is waited for", () => {
    const scene = hung().seeAll(detached(), "a2", "a3").see("a1", "refused").step(5);
    expect(scene.partition).toMatchObject({ promoting: "a2", failover: { isKnownDead: true } });
  });

  test("a new alpha waits a whole lease of its own", () => {
    const scene = hung().seeAll(detached(), "a2", "a3").step(LEASE_MS);
    scene.withoutMasterSince = new Map();
    scene.heldSince = new Map();
    scene.step(LEASE_MS);
    expect(scene.partition.promoting).toBeNull();
    scene.step(LEASE_MS * 1.2);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("when it wakes after another one was chosen it is detached at once", () => {
    const scene = hung()
      .seeAll(detached(), "a2", "a3")
      .step(5)
      .step(LEASE_MS * 1.2);
    scene.see("a2", masterInfo({ replicationId: "h2", offset: 110 })).step();
    scene.see("a1", masterInfo({ offset: 115 })).step();
    expect(scene.partition.master).toBe("a2");
    // Its writes are paused first: what it holds may have to be saved.
    expect(actionsIn(scene)).toContain("pause a1");
  });

  test("with ack-replicas the lease is not waited for: its replicas no longer help it to acknowledge", () => {
    const scene = hung(ONE_ACK).seeAll(detached(), "a2", "a3").step(5);
    expect(scene.partition.promoting).toBe("a2");
  });

  test("an accepted loss waits for the lease too", () => {
    const scene = hung()
      .seeAll(detached(110, { runId: "again" }), "a2", "a3")
      .step(5);
    scene.requests = [
      { id: "1", state: "asked", message: "", body: { kind: "accept-loss", node: "a3" } },
    ];
    scene.step(5);
    expect(scene.partition.promoting).toBeNull();
    scene.step(LEASE_MS * 1.2);
    expect(scene.partition.promoting).toBe("a3");
  });
});
