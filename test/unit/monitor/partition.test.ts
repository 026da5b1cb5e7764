import { inheritedView } from "../../../runtime/monitor/decide/views/first-view.ts";
import { describe, expect, test } from "vitest";
import { actionsOf, type Action } from "../../../runtime/monitor/decide/actions.ts";
import { CONF, configOf, Scene, infoOf, masterInfo, replicaOf, servedScene } from "./situations.ts";

function actionsIn(scene: Scene): string[] {
  const nodeHealth = scene.last?.nodeHealth ?? new Map();
  return actionsOf(scene.view, nodeHealth).map(describeAction);
}

function describeAction(action: Action): string {
  return action.kind === "repoint"
    ? `${action.node} follows ${action.master.name}`
    : `${action.kind} ${action.node}`;
}

describe("a first start", () => {
  test("the first node is promoted, published once it says master, and followed by the others", () => {
    const scene = new Scene().seeAll(infoOf(), "a1", "a2", "a3").step();
    expect(scene.partition).toMatchObject({ master: null, promoting: "a1", needs: null });
    expect(actionsIn(scene)).toEqual(["promote a1"]);
    expect(scene.view.state).toBe("HALT");

    scene.see("a1", masterInfo()).step();
    expect(scene.partition).toMatchObject({ master: "a1", promoting: null, replicationId: "h1" });
    expect(scene.view.state).toBe("DEGRADED");
    expect(actionsIn(scene)).toEqual(["a2 follows a1", "a3 follows a1"]);
  });

  test("the served scene of these tests reaches OK", () => {
    const scene = servedScene();
    expect(scene.view.state).toBe("OK");
    expect(actionsIn(scene)).toEqual([]);
    expect(scene.view.partitions[0]).toMatchObject({ replicas: ["a2", "a3"], dead: [] });
  });

  test("nothing is decided about a partition before every node of it was tried", () => {
    const scene = new Scene().see("a2", infoOf()).see("a1", "unknown").see("a3", infoOf()).step();
    expect(scene.partition).toMatchObject({ promoting: null, needs: null });
  });

  test("a first node that is away is waited for until down-after has passed", () => {
    const scene = new Scene().see("a1", "refused").seeAll(infoOf(), "a2", "a3").step();
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toContain("a1");
    scene.step(1000);
    expect(scene.partition.promoting).toBe("a2");
  });

  test.each([
    ["loads", infoOf({ isLoading: true })],
    ["has a broken disk", infoOf({ isDiskWell: false })],
  ])("a node that %s is not promoted", (_what, info) => {
    const scene = new Scene().seeAll(info, "a1", "a2", "a3").step(2000);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).not.toBeNull();
    expect(actionsIn(scene)).toEqual([]);
  });

  test("a node that restarts while it is being promoted is chosen anew", () => {
    const scene = new Scene().seeAll(infoOf(), "a1", "a2", "a3").step();
    scene.see("a1", infoOf({ runId: "another" })).step();
    expect(scene.partition.promoting).toBeNull();
    scene.step();
    expect(scene.partition.promoting).toBe("a1");
  });

  test("a node that calls itself master and is not in the view is detached, then made a replica", () => {
    const scene = servedScene()
      .see("a2", masterInfo({ replicationId: "rogue" }))
      .step();
    expect(actionsIn(scene)).toEqual(["detach a2"]);
    expect(scene.role("a2")).toBe("dead");
    scene.see("a2", infoOf({ replicationId: "rogue" })).step();
    expect(actionsIn(scene)).toEqual(["a2 follows a1"]);
  });
});

describe("a partition that no view remembers but whose nodes hold keys", () => {
  test("one holder among answering nodes is taken: that drops nobody's keys", () => {
    const scene = new Scene()
      .seeAll(infoOf(), "a1", "a3")
      .see("a2", infoOf({ keys: 5 }))
      .step();
    expect(scene.partition.promoting).toBe("a2");
  });

  test("while a node is away nothing is taken: it may hold more", () => {
    const scene = new Scene().see("a1", "refused").see("a3", infoOf());
    scene.see("a2", infoOf({ keys: 5 })).step(5000);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toBe(
      "a1 to answer: no view remembers it and a2 holds keys; or take one as it is: twine-failover --accept-loss a2",
    );
  });

  test("holders of one history are compared by their offsets", () => {
    const scene = new Scene().see("a1", infoOf({ keys: 5, replicationId: "h", offset: 10 }));
    scene
      .see("a2", infoOf({ keys: 6, replicationId: "h", offset: 12 }))
      .see("a3", infoOf())
      .step();
    expect(scene.partition.promoting).toBe("a2");
  });

  test("holders of different histories wait for the operator", () => {
    const scene = new Scene()
      .see("a1", infoOf({ keys: 5, replicationId: "x" }))
      .see("a3", infoOf());
    scene.see("a2", infoOf({ keys: 6, replicationId: "y" })).step(5000);
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toContain("twine-failover --accept-loss a2");
  });
});

describe("a master that is lost", () => {
  test("a refused connection is dead at once, and no connection's silence is", () => {
    const refused = servedScene().see("a1", "refused").step();
    expect(refused.partition).toMatchObject({ master: null, lastMaster: "a1" });
    expect(refused.role("a1")).toBe("dead");
    const silent = servedScene().see("a1", "silent").step();
    expect(silent.partition.master).toBe("a1");
  });

  test("silence is down when a majority of the monitors hear nothing", () => {
    const scene = servedScene().see("a1", "silent");
    scene.peers.set("m2", { confDigest: "d1", suspects: new Set(["a1"]) });
    scene.step();
    expect(scene.partition.master).toBeNull();
  });

  test("most nodes silent: the alpha suspects itself and changes nothing", () => {
    const scene = servedScene().seeAll("silent", "a1", "a2");
    scene.peers.set("m2", { confDigest: "d1", suspects: new Set(["a1", "a2"]) });
    const { partitions, nodes } = scene.view;
    scene.step();
    expect(scene.view).toMatchObject({ partitions, nodes, state: "DEGRADED" });
    expect(scene.view.undecided).toContain("most data nodes do not answer the alpha");
    expect(scene.last?.doubt.kind).toBe("waits");
  });

  test("one silent node alone is no sign of being cut off, however few there are", () => {
    const scene = new Scene(CONF.replace(/^a[23].*\n/gm, "")).see("a1", infoOf()).step();
    scene.see("a1", masterInfo()).step();
    expect(scene.partition.master).toBe("a1");
    scene.peers.set("m2", { confDigest: "d1", suspects: new Set(["a1"]) });
    scene.see("a1", "silent").step();
    expect(scene.last?.doubt.kind).toBe("none");
    expect(scene.view.state).toBe("HALT");
  });

  test("what a new alpha inherits is not OK before it has looked at every data node", () => {
    const scene = servedScene().step();
    expect(scene.view.state).toBe("OK");
    scene.view = inheritedView(scene.view, "m2", "2026-01-01T00:00:02.000Z");
    expect(scene.view.state).toBe("DEGRADED");
    const [a1, a2, a3] = ["a1", "a2", "a3"].map(
      (name) => scene.nodeObservations.get(name)?.info ?? "unknown",
    );
    scene.seeAll("unknown", "a1", "a2", "a3").step();
    expect(scene.view.state).toBe("DEGRADED");
    expect(scene.partition.master).toBe("a1");
    scene
      .see("a1", a1 ?? "unknown")
      .see("a2", a2 ?? "unknown")
      .see("a3", a3 ?? "unknown")
      .step();
    expect(scene.view.state).toBe("OK");
    scene.see("a3", "unknown").step();
    expect(scene.view.state).toBe("OK");
  });

  test("nor is it while a node is silent to it, though nobody has agreed yet", () => {
    const scene = servedScene();
    scene.view = inheritedView(scene.view, "m2", "2026-01-01T00:00:02.000Z");
    scene.see("a1", "silent").step();
    expect(scene.view.state).toBe("DEGRADED");
  });

  test("a master that restarted is master no more until its data is proved", () => {
    const scene = servedScene()
      .see("a1", infoOf({ runId: "again", isLoading: true, keys: 3 }))
      .step();
    expect(scene.partition.master).toBeNull();
    scene.seeAll("refused", "a2", "a3").step();
    expect(scene.partition.needs).toBe("a1 to finish loading its data");
  });

  test("one that was only cut off and never left is master again", () => {
    const scene = servedScene();
    const info = scene.nodeObservations.get("a1")?.info;
    scene.see("a1", "refused").step();
    scene.see("a1", info ?? "unknown").step();
    expect(scene.partition.promoting).toBe("a1");
    scene.step();
    expect(scene.partition.master).toBe("a1");
  });
});

describe("after an outage of the whole partition", () => {
  function outage(): Scene {
    return servedScene().seeAll("refused", "a1", "a2", "a3").step();
  }

  test("by AOF the last master wins when it has keys again", () => {
    const scene = outage();
    scene.seeAll(infoOf({ runId: "n", replicationId: "n", keys: 9 }), "a2", "a3").step();
    expect(scene.partition.promoting ?? null).toBeNull();
    expect(scene.partition.needs).toBe(
      "a1 back with its data: it was the last master; or accept the loss of what the others held: twine-failover --accept-loss a2",
    );
    scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 9 })).step();
    expect(scene.partition.promoting).toBe("a1");
  });

  test("a last master that came back empty is not taken, and the view says so", () => {
    const scene = outage();
    scene.see("a1", infoOf({ runId: "m", replicationId: "m" }));
    scene
      .seeAll(infoOf({ runId: "n", replicationId: "n", keys: 9 }), "a2", "a3")
      .step()
      .step();
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toBe(
      "the data of a1, its last master, which came back empty; or accept the loss of what the others held: twine-failover --accept-loss a2",
    );
    expect(scene.view.state).toBe("HALT");
  });

  test("a last master that was empty may come back empty", () => {
    const scene = outage();
    scene.lastSeen.set("a1", { replicationId: "h1", offset: 0, keys: 0 });
    scene.see("a1", infoOf({ runId: "m", replicationId: "m" })).step();
    expect(scene.partition.promoting ?? null).toBeNull();
    // The others had down-after to answer.
    expect(scene.step(1000).partition.promoting).toBe("a1");
  });

  test("by RDB replicas alone are never enough, and the last master is once it has reached what was seen", () => {
    const scene = outage();
    scene.see("a2", infoOf({ runId: "n", replicationId: "h1", offset: 110, keys: 9 })).step();
    expect(scene.partition.promoting).toBeNull();
    scene.see("a1", infoOf({ runId: "m", replicationId: "h1", offset: 110, keys: 9 })).step();
    expect(scene.partition.promoting).toBe("a1");
  });

  test("by AOF a last master that came back with fewer keys than another is not taken", () => {
    const scene = outage();
    scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 4 }));
    scene.see("a2", infoOf({ runId: "n", replicationId: "n", keys: 9 })).step();
    expect(scene.partition.promoting ?? null).toBeNull();
    scene
      .see("a3", infoOf({ runId: "n", replicationId: "n", keys: 9 }))
      .step()
      .step();
    expect(scene.partition.promoting ?? null).toBeNull();
    expect(scene.partition.needs).toBe(
      "the data of a1, its last master, which came back with 4 keys of 9; a2 holds 9; or accept the loss of what the others held: twine-failover --accept-loss a2",
    );
  });

  test("by AOF fewer keys are enough when every node is back and none holds more", () => {
    const scene = outage();
    scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 8 }));
    scene.see("a2", infoOf({ runId: "n", replicationId: "n", keys: 8 })).step();
    expect(scene.partition.promoting ?? null).toBeNull();
    scene.see("a3", infoOf({ runId: "n", replicationId: "n", keys: 7 })).step();
    expect(scene.partition.promoting).toBe("a1");
  });

  test("a partition that never held a key comes back empty, with or without a record", () => {
    for (const record of [{ replicationId: "h1", offset: 5, keys: 0 }, undefined]) {
      const scene = outage();
      if (record === undefined) scene.lastSeen.delete("a1");
      else scene.lastSeen.set("a1", record);
      scene.see("a1", infoOf({ runId: "m", replicationId: "m" }));
      scene.seeAll(infoOf({ runId: "n", replicationId: "n" }), "a2", "a3").step();
      expect(scene.partition.promoting).toBe("a1");
    }
  });

  test("nobody is chosen before the status nodes were asked for what was seen last", () => {
    const scene = outage();
    scene.isLastSeenRead = false;
    scene.see("a1", infoOf({ runId: "m", replicationId: "m", keys: 9 })).step();
    expect(scene.partition.promoting ?? null).toBeNull();
    scene.isLastSeenRead = true;
    scene.step(1000);
    expect(scene.partition.promoting).toBe("a1");
  });

  test("a twine.conf that drops the last master is refused while there is no master", () => {
    const scene = outage();
    scene.config = configOf(CONF.replace(/^a1.*$/m, ""));
    scene.digest = "d2";
    scene.peers.set("m2", { confDigest: "d2", suspects: new Set() });
    scene.step();
    expect(scene.last?.conf.kind).toBe("refused");
  });

  test("by RDB a node that is behind the last offset seen waits for all others", () => {
    const scene = outage();
    scene.see("a1", infoOf({ runId: "n", replicationId: "h1", offset: 90, keys: 8 }));
    scene.see("a2", infoOf({ runId: "n", replicationId: "h1", offset: 95, keys: 8 })).step();
    expect(scene.partition.promoting).toBeNull();
    expect(scene.partition.needs).toContain("a3 back");
    scene.see("a3", infoOf({ runId: "n", replicationId: "h1", offset: 80, keys: 8 })).step();
    expect(scene.partition.promoting).toBe("a2");
  });

  test("nobody is chosen by offsets of another history", () => {
    const scene = outage();
    scene.seeAll(infoOf({ runId: "n", replicationId: "h2", offset: 999, keys: 8 }), "a2", "a3");
    scene.see("a1", infoOf({ runId: "n", replicationId: "h3" })).step();
    expect(scene.partition.promoting).toBeNull();
  });
});

describe("accept-loss", () => {
  const ask = (node: string) =>
    ({ id: "1", state: "asked", message: "", body: { kind: "accept-loss", node } }) as const;

  test("makes the node named master whatever the others hold, and is answered when it serves", () => {
    const scene = servedScene().seeAll("refused", "a1", "a3");
    scene
      .see("a2", infoOf({ runId: "n", replicationId: "n", keys: 1 }))
      .step()
      .step();
    expect(scene.partition.promoting).toBeNull();
    scene.requests = [ask("a2")];
    scene.step();
    expect(scene.partition.promoting).toBe("a2");
    expect(scene.last?.answers).toEqual([]);
    scene.see("a2", masterInfo({ runId: "n", keys: 1 })).step();
    expect(scene.partition.master).toBe("a2");
    scene.step();
    expect(scene.last?.answers).toMatchObject([{ state: "done" }]);
  });

  test.each([
    ["a9", "no data node a9"],
    ["s1", "no data node s1"],
    ["a2", "has a master, a1"],
  ])("for %s is refused", (node, why) => {
    const scene = servedScene();
    scene.requests = [ask(node)];
    scene.step();
    expect(scene.last?.answers).toMatchObject([{ state: "refused" }]);
    expect(scene.last?.answers[0]?.message).toContain(why);
  });

  test("of a node that can't serve is refused with the reason", () => {
    const scene = servedScene().seeAll("refused", "a1", "a2", "a3").step();
    scene.requests = [ask("a2")];
    scene.step();
    expect(scene.last?.answers[0]?.message).toBe("a2 does not answer: start it first");
  });
});

describe("replicas", () => {
  test("one that restarted is told again whom to follow and is out of sync meanwhile", () => {
    const scene = servedScene()
      .see("a2", infoOf({ runId: "again" }))
      .step();
    expect(scene.role("a2")).toBe("dead");
    expect(scene.view.state).toBe("DEGRADED");
    expect(actionsIn(scene)).toEqual(["a2 follows a1"]);
  });

  test("one is in sync when it reaches an offset sampled after its link came up, not before", () => {
    const scene = servedScene()
      .see("a2", infoOf({ runId: "again" }))
      .step();
    scene.see("a2", replicaOf("a1", { runId: "again", offset: 110 })).step();
    expect(scene.inSync("a2")).toBe(false);
    const master = scene.nodeObservations.get("a1")?.info;
    if (master === undefined || master === null) throw new Error("a1 was not seen");
    scene.see("a1", { ...master, offset: 150 }).step();
    expect(scene.inSync("a2")).toBe(false);
    scene.see("a2", replicaOf("a1", { runId: "again", offset: 150 })).step();
    expect(scene.inSync("a2")).toBe(true);
    expect(scene.view.state).toBe("OK");
  });

  test("one whose link is up is not in sync while the master does not list it online", () => {
    const scene = servedScene();
    const master = scene.nodeObservations.get("a1")?.info;
    if (master === undefined || master === null) throw new Error("a1 was not seen");
    scene.see("a1", { ...master, replicas: master.replicas.slice(1) }).step();
    expect(scene.inSync("a2")).toBe(false);
    expect(scene.inSync("a3")).toBe(true);
  });

  test("one that is silent to the alpha alone stays as it was", () => {
    const scene = servedScene();
    const before = scene.view;
    scene.see("a2", "silent").step();
    expect(scene.view).toBe(before);
  });
});
