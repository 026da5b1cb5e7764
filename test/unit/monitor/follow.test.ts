// follow.test.ts: a partition that follows another system's master: when it may begin, when it takes over, and the way back.
import { describe, expect, test } from "vitest";
import type { FollowRequest, Request } from "../../../runtime/core/request.ts";
import { parseView } from "../../../runtime/core/parse-view.ts";
import { actionsOf } from "../../../runtime/monitor/decide/actions.ts";
import { ONE_ACK, Scene, infoOf, masterInfo, replicaOf, servedScene } from "./situations.ts";

const OLD = { host: "10.0.0.9", port: 6379 };
const HISTORY = "old-history";

let ids = 0;
function ask(
  scene: Scene,
  step: FollowRequest["step"],
  more: Partial<FollowRequest> = {},
): Request {
  const base = {
    kind: "follow",
    partition: 0,
    by: "me",
    ...OLD,
    replicationId: HISTORY,
    offset: 500,
  };
  const body = { ...base, step, ...more } as FollowRequest;
  const request: Request = { id: `f${(ids += 1)}`, body, state: "asked", message: "" };
  scene.requests = [request];
  return request;
}

function answerOf(scene: Scene, { id }: Request): string {
  const found = scene.last?.answers.find((answer) => answer.id === id);
  return found === undefined ? "none" : `${found.state}: ${found.message}`;
}

function actions(scene: Scene): string[] {
  const memory = { pauses: scene.pauses, nowMs: scene.nowMs, attemptMs: 1000 };
  const due = actionsOf(scene.view, scene.last?.nodeHealth ?? new Map(), memory);
  return due.map((action) =>
    action.kind === "repoint"
      ? `${action.node} follows ${action.master.name}`
      : `${action.kind} ${action.node}`,
  );
}

/** a1 serves, and every node is empty. */
function emptyScene(conf?: string): Scene {
  const scene = new Scene(conf);
  scene.seeAll(infoOf(), "a1", "a2", "a3").step();
  scene.see("a1", masterInfo()).seeAll(replicaOf("a1"), "a2", "a3").step().step();
  expect(scene.partition.master).toBe("a1");
  return scene;
}

function ofOld(offset = 500, changes = {}) {
  return infoOf({
    following: OLD,
    isLinkUp: true,
    replicationId: HISTORY,
    ...{ offset, keys: 9, ...changes },
  });
}

/** Nodes follow the old master, and its writes stand still. */
function copyingScene(conf?: string): Scene {
  const scene = followingScene(conf);
  ask(scene, "mark");
  scene.step();
  scene.requests = [];
  return scene;
}

function followingScene(conf?: string): Scene {
  const scene = emptyScene(conf);
  ask(scene, "begin");
  scene.step();
  scene.requests = [];
  scene.see("a1", masterInfo()).step(700);
  scene.see("a1", masterInfo()).seeAll(replicaOf("a1"), "a2", "a3").step(100).step(600);
  scene.see("a1", masterInfo()).seeAll(replicaOf("a1"), "a2", "a3").step(0);
  expect(scene.partition.following?.phase).toBe("copying");
  scene.seeAll(ofOld(), "a1", "a2", "a3").step();
  return scene;
}

describe("begin", () => {
  test("an empty partition gives up its master, waits out the routers' lease, and then follows", () => {
    const scene = emptyScene();
    const request = ask(scene, "begin");
    scene.step();
    expect(answerOf(scene, request)).toBe("done: partition 0 follows 10.0.0.9:6379");
    expect(scene.partition).toMatchObject({ master: null, following: { phase: "fencing" } });
    expect(scene.view.state).toBe("HALT");
    expect(actions(scene)).toEqual([]);
    scene.requests = [];
    // A router may still act on the view before.
    scene.see("a1", masterInfo()).seeAll(replicaOf("a1"), "a2", "a3").step(300);
    expect(scene.partition.following?.phase).toBe("fencing");
    // The lease is over, but what the nodes say is older than its end.
    scene.step(300);
    expect(scene.partition.following?.phase).toBe("fencing");
    scene.see("a1", masterInfo()).seeAll(replicaOf("a1"), "a2", "a3").step(0);
    expect(scene.partition.following?.phase).toBe("copying");
    expect(actions(scene)).toEqual([
      "a1 follows 10.0.0.9:6379",
      "a2 follows 10.0.0.9:6379",
      "a3 follows 10.0.0.9:6379",
    ]);
    expect(parseView(JSON.stringify(scene.view)).partitions).toEqual(scene.view.partitions);
  });

  test("what a router wrote meanwhile is kept: the partition serves again", () => {
    const scene = emptyScene();
    ask(scene, "begin");
    scene.step();
    scene.requests = [];
    scene.see("a1", masterInfo({ keys: 1 })).step(700);
    expect(scene.partition.following).toBeNull();
    expect(scene.partition.promoting).toBe("a1");
    scene.step();
    expect(scene.partition.master).toBe("a1");
  });

  test("refused: keys, a node that is away, a loading one, an unknown partition", () => {
    const scene = servedScene();
    let request = ask(scene, "begin");
    scene.step();
    expect(answerOf(scene, request)).toContain("a1 holds keys, which would be thrown away");
    expect(scene.partition.master).toBe("a1");
    const empty = emptyScene();
    request = ask(empty, "begin");
    empty.see("a3", "refused").step();
    expect(answerOf(empty, request)).toBe("refused: a3 does not answer: start it first");
    request = ask(empty, "begin");
    empty.see("a3", infoOf({ isLoading: true })).step();
    expect(answerOf(empty, request)).toBe("refused: a3 is loading its data");
    request = ask(empty, "begin", { partition: 7 });
    empty.step();
    expect(answerOf(empty, request)).toBe("refused: there is no partition 7");
  });

  test("another address is taken while it follows, for the old system may fail over", () => {
    const scene = copyingScene();
    ask(scene, "begin", { host: "10.0.0.8" });
    scene.step();
    expect(actions(scene)).toEqual(
      ["a1", "a2", "a3"].map((name) => `${name} follows 10.0.0.8:6379`),
    );
  });
});

describe("while it follows", () => {
  test("nothing is promoted, detached or repointed, whatever happens to the old master", () => {
    const scene = copyingScene();
    expect(actions(scene)).toEqual([]);
    expect([scene.role("a1"), scene.inSync("a1")]).toEqual(["replica", true]);
    scene.seeAll(ofOld(500, { isLinkUp: false }), "a1", "a2", "a3");
    for (let round = 0; round < 50; round += 1) scene.step(500);
    expect(actions(scene)).toEqual([]);
    expect(scene.partition).toMatchObject({ master: null, promoting: null });
    const [trouble] = scene.view.nodes[0]?.troubles ?? [];
    expect(trouble).toMatchObject({
      code: "NOT_IN_SYNC",
      remedy: expect.stringContaining("twine-follow 0") as string,
    });
    expect(scene.partition.needs).toContain("twine-follow --switch");
  });

  test("a node that comes back is told to follow again; one that somebody made master and wrote to is left alone", () => {
    const scene = copyingScene();
    scene
      .see("a2", infoOf({ keys: 9 }))
      .see("a3", masterInfo({ keys: 10 }))
      .step();
    expect(actions(scene)).toEqual(["a2 follows 10.0.0.9:6379"]);
    expect(scene.role("a3")).toBe("dead");
  });

  test("other requests are refused with what to do", () => {
    const scene = copyingScene();
    const accept: Request = {
      ...{ id: "x", state: "asked", message: "" },
      body: { kind: "accept-loss", node: "a1" },
    };
    scene.requests = [accept];
    scene.step();
    expect(answerOf(scene, accept)).toContain("twine-follow --switch --old-is-gone");
    const promote: Request = { ...accept, id: "y", body: { kind: "promote-to", node: "a1" } };
    scene.requests = [promote];
    scene.step();
    expect(answerOf(scene, promote)).toContain("its nodes follow 10.0.0.9:6379");
  });
});

describe("promote", () => {
  test("only once a node has reached the offset, and then the furthest of those that count", () => {
    const scene = copyingScene();
    const request = ask(scene, "promote");
    scene.seeAll(ofOld(499), "a1", "a2", "a3").step();
    expect(answerOf(scene, request)).toBe("none");
    scene.see("a2", ofOld(500)).step();
    expect(answerOf(scene, request)).toBe("done: partition 0 takes over from 10.0.0.9:6379");
    scene.requests = [];
    expect(actions(scene)).toEqual(["detach a1", "detach a2", "detach a3"]);
    const detached = (offset: number) => infoOf({ replicationId: HISTORY, offset, keys: 9 });
    scene.seeAll(detached(499), "a1", "a3").see("a2", detached(500)).step();
    expect(scene.partition.promoting).toBe("a2");
    scene.see("a2", masterInfo({ replicationId: "ours", keys: 9 })).step();
    expect(scene.partition).toMatchObject({ master: "a2", cameFrom: OLD, following: null });
  });

  test("another history proves nothing", () => {
    const scene = followingScene();
    ask(scene, "mark", { replicationId: "other" });
    scene.step();
    const request = ask(scene, "promote", { replicationId: "other" });
    scene.step();
    expect(answerOf(scene, request)).toBe("none");
  });

  test("a request of a switch that was given up is refused, however late it comes", () => {
    const scene = copyingScene();
    ask(scene, "unmark");
    scene.step();
    const late = ask(scene, "promote");
    scene.step();
    expect(answerOf(scene, late)).toContain("the switch was given up");
    ask(scene, "mark", { offset: 700 });
    scene.step();
    const other = ask(scene, "promote");
    scene.step();
    expect(answerOf(scene, other)).toContain("the switch was given up");
  });

  test("when the only node that reached it restarts, nobody takes over unasked", () => {
    const scene = copyingScene();
    ask(scene, "promote");
    scene.seeAll(ofOld(499), "a1", "a3").see("a2", ofOld(500)).step();
    scene.requests = [];
    const detached = infoOf({ replicationId: HISTORY, offset: 499, keys: 9 });
    scene.seeAll(detached, "a1", "a3").see("a2", infoOf({ runId: "again", keys: 9 }));
    for (let round = 0; round < 20; round += 1) scene.step(500);
    expect(scene.partition).toMatchObject({ master: null, promoting: null });
    expect(scene.partition.needs).toContain("twine-failover --accept-loss");
  });

  test("with ack-replicas enough of them must count", () => {
    const scene = copyingScene(ONE_ACK);
    ask(scene, "promote");
    scene.step();
    scene.requests = [];
    const detached = infoOf({ replicationId: HISTORY, offset: 500, keys: 9 });
    scene.seeAll(detached, "a1", "a2").see("a3", "refused").step();
    expect(scene.partition.promoting ?? null).toBeNull();
    scene.see("a3", detached).step(300);
    expect(scene.partition.promoting).toBe("a1");
  });

  test("asked twice it is done once", () => {
    const scene = copyingScene();
    ask(scene, "promote");
    scene.step();
    const again = ask(scene, "promote");
    scene.step();
    // It waits for the end of the first, which the view shows.
    expect(answerOf(scene, again)).toBe("none");
    const detached = infoOf({ replicationId: HISTORY, offset: 500, keys: 9 });
    scene.seeAll(detached, "a1", "a2", "a3").step();
    scene
      .see("a1", masterInfo({ replicationId: "ours", keys: 9 }))
      .step()
      .step();
    expect(answerOf(scene, again)).toBe("done: a1 is master of partition 0");
  });
});

describe("the way back", () => {
  function takenOver(): Scene {
    const scene = copyingScene();
    ask(scene, "promote");
    scene.step();
    scene.requests = [];
    const detached = infoOf({ replicationId: HISTORY, offset: 500, keys: 9 });
    scene.seeAll(detached, "a1", "a2", "a3").step();
    scene.see("a1", masterInfo({ replicationId: "ours", keys: 9 }));
    scene
      .seeAll(replicaOf("a1", { replicationId: "ours", keys: 9 }), "a2", "a3")
      .step()
      .step();
    expect(scene.partition.master).toBe("a1");
    return scene;
  }

  test("writes stand still, the old master is led back to its role by the tool, and then ours follow it", () => {
    const scene = takenOver();
    const request = ask(scene, "back");
    scene.step();
    expect(answerOf(scene, request)).toBe("done: partition 0 goes back to 10.0.0.9:6379");
    scene.requests = [];
    scene.see("a1", masterInfo({ replicationId: "ours", keys: 9 })).step(700);
    scene
      .see("a1", masterInfo({ replicationId: "ours", keys: 9 }))
      .seeAll(replicaOf("a1"), "a2", "a3")
      .step(600);
    scene
      .see("a1", masterInfo({ replicationId: "ours", keys: 9 }))
      .seeAll(replicaOf("a1"), "a2", "a3")
      .step(0);
    expect(scene.partition.following).toMatchObject({ phase: "fenced", isBack: true });
    // The old one still copies from ours.
    expect(actions(scene)).toEqual([]);
    ask(scene, "copy");
    scene.step();
    expect(actions(scene)).toEqual(
      ["a1", "a2", "a3"].map((name) => `${name} follows 10.0.0.9:6379`),
    );
  });

  test("or it stays: the master never left", () => {
    const scene = takenOver();
    ask(scene, "back");
    scene.step();
    ask(scene, "stay");
    scene.step();
    scene.requests = [];
    scene.step();
    expect(scene.partition.master).toBe("a1");
  });

  test("finish ends it", () => {
    const scene = takenOver();
    ask(scene, "finish");
    scene.step();
    expect(scene.partition.cameFrom).toBeNull();
  });
});
