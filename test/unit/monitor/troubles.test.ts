// What the view shows of data nodes beside their role, and what follows from it: refusing masters, foreign masters,
// versions, and an alpha to which most nodes are silent.
import { describe, expect, test } from "vitest";
import type { NodeTrouble } from "../../../runtime/core/view.ts";
import type { NodeInfo } from "../../../runtime/monitor/decide/nodes/info.ts";
import { actionsOf } from "../../../runtime/monitor/decide/actions.ts";
import { isNewerVersion } from "../../../runtime/core/server-versions.ts";
import {
  CONF,
  detached,
  infoOf,
  masterInfo,
  replicaOf,
  Scene,
  servedScene,
  type Seen,
} from "./situations.ts";

function infoNow(scene: Scene, name: string): NodeInfo {
  return scene.nodeObservations.get(name)?.info ?? infoOf();
}

function codesOf(scene: Scene, name: string): string[] {
  const troubles = scene.view.nodes.find((node) => node.name === name)?.troubles ?? [];
  return troubles.map(({ code }) => code);
}

const AOF = { isDiskWell: false, refusal: { kind: "aof", limit: "" } } as const;

describe("a master that refuses writes", () => {
  test("is shown, and hands over to a replica that does not", () => {
    const scene = servedScene();
    scene.see("a1", { ...infoNow(scene, "a1"), ...AOF }).step();
    expect(codesOf(scene, "a1")).toEqual(["WRITES_REFUSED"]);
    expect(scene.view.state).toBe("DEGRADED");
    expect(scene.partition.handover).toMatchObject({ from: "a1", to: "a2", phase: "pause" });
  });

  test("stays while no replica can take over", () => {
    const scene = servedScene();
    for (const name of ["a1", "a2", "a3"]) scene.see(name, { ...infoNow(scene, name), ...AOF });
    scene.step();
    expect(scene.partition.handover ?? null).toBeNull();
    expect(codesOf(scene, "a3")).toEqual(["WRITES_REFUSED"]);
  });

  test("for want of memory stays: its replicas hold the same", () => {
    const scene = servedScene();
    const refusal = { kind: "memory", limit: "1M" } as const;
    scene.see("a1", { ...infoNow(scene, "a1"), refusal }).step();
    expect(codesOf(scene, "a1")).toEqual(["WRITES_REFUSED"]);
    expect(scene.partition.handover ?? null).toBeNull();
  });

  test("errors that clients got lately are shown until they are a minute old", () => {
    const scene = servedScene();
    const seen = scene.nodeObservations.get("a1");
    if (seen === undefined) throw new Error("a1 was not seen");
    scene.nodeObservations.set("a1", { ...seen, refusedLately: ["NOREPLICAS", "OOM"] });
    scene.step();
    expect(codesOf(scene, "a1")).toEqual(["OOM_REFUSALS", "NOREPLICAS_REFUSALS"]);
    scene.nodeObservations.set("a1", seen);
    expect(codesOf(scene.step(), "a1")).toEqual([]);
    expect(scene.view.state).toBe("OK");
  });
});

test("a replica that is not in sync says why", () => {
  const scene = servedScene();
  scene.see("a2", replicaOf("a1", { isLinkUp: false, isSyncing: true })).step();
  expect(scene.view.nodes.find(({ name }) => name === "a2")?.troubles).toEqual([
    {
      code: "NOT_IN_SYNC",
      text: "is not in sync: it copies all data of its master a1",
      remedy: null,
    },
  ]);
});

test("a node that runs a script without end is shown with the command that ends it", () => {
  const scene = servedScene().see("a2", "silent");
  scene.nodeObservations.set("a2", {
    reach: "silent",
    info: null,
    askedAtMs: 0,
    script: "running",
  });
  const trouble = (): NodeTrouble | undefined =>
    scene.step().view.nodes.find(({ name }) => name === "a2")?.troubles?.[0];
  expect(trouble()?.code).toBe("BUSY");
  expect(trouble()?.remedy).toContain("redis-cli -h 127.0.0.1 -p 7002 SCRIPT KILL");
  const unkillable = { reach: "silent", info: null, askedAtMs: 0, script: "unkillable" } as const;
  scene.nodeObservations.set("a2", unkillable);
  expect(trouble()?.code).toBe("BUSY");
  expect(trouble()?.remedy).toContain("redis-cli -h 127.0.0.1 -p 7002 SHUTDOWN NOSAVE");
});

describe("a foreign master", () => {
  const FOREIGN = { following: { host: "10.9.9.9", port: 6379 }, isLinkUp: true } as const;

  test("before the first view: nobody is promoted, and both addresses are shown", () => {
    const scene = new Scene();
    scene.seeAll(infoOf(), "a2", "a3");
    scene.see("a1", infoOf({ ...FOREIGN, replicationId: "f", keys: 4 })).step(5000);
    expect(scene.partition.promoting ?? null).toBeNull();
    expect(scene.partition.needs).toContain("a1 follows 10.9.9.9:6379");
    const [trouble] = scene.view.nodes.find(({ name }) => name === "a1")?.troubles ?? [];
    expect(trouble?.text).toContain("localhost:7001 follows 10.9.9.9:6379");
  });

  test("a replica that follows one is not promoted when the partition's master dies, whatever it holds", () => {
    const scene = servedScene();
    scene.see("a2", infoOf({ ...FOREIGN, replicationId: "f", offset: 900, keys: 90 }));
    scene.see("a1", "refused").see("a3", detached()).step(50).step(2000);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("what it has loaded is rescued before it follows the cluster's master", () => {
    const scene = servedScene();
    const foreign = infoOf({ ...FOREIGN, runId: "f2", replicationId: "f", offset: 900, keys: 90 });
    scene.see("a2", foreign).step();
    const kinds = (): string[] =>
      actionsOf(scene.view, scene.last?.nodeHealth ?? new Map(), {
        pauses: new Map(),
        nowMs: scene.nowMs,
        attemptMs: 1000,
      })
        .filter(({ node }) => node === "a2")
        .map(({ kind }) => kind);
    expect(kinds()).toEqual(["rescue"]);
    const upTo = { replicationId: "f", offset: 900 };
    const rescue = {
      runId: "f2",
      kind: "saved",
      place: "m1:/x.rdb",
      why: "",
      at: "",
      upTo,
    } as const;
    scene.view = {
      ...scene.view,
      nodes: scene.view.nodes.map((node) => (node.name === "a2" ? { ...node, rescue } : node)),
    };
    scene.see("a2", { ...foreign, offset: 950 }).step();
    expect(kinds()).toEqual(["repoint"]);
  });
});

describe("versions", () => {
  test("major and minor count, and only of one server", () => {
    expect(isNewerVersion("redis 8.2.3", "redis 7.0.15")).toBe(true);
    expect(isNewerVersion("redis 7.2.0", "redis 7.0.15")).toBe(true);
    expect(isNewerVersion("redis 7.0.15", "redis 7.0.2")).toBe(false);
    expect(isNewerVersion("valkey 9.1.0", "redis 7.0.15")).toBe(false);
    expect(isNewerVersion("redis 8.2.3", undefined)).toBe(false);
  });

  test("a replica older than its master is shown with the remedy", () => {
    const scene = servedScene();
    scene.see("a1", { ...infoNow(scene, "a1"), version: "redis 8.2.3" });
    scene
      .see("a2", { ...infoNow(scene, "a2"), version: "redis 7.0.15" })
      .step()
      .step();
    expect(codesOf(scene, "a2")).toEqual(["OLDER_THAN_MASTER"]);
    expect(scene.view.state).toBe("DEGRADED");
    expect(scene.view.nodes.find(({ name }) => name === "a1")?.version).toBe("redis 8.2.3");
  });

  test("of replicas that hold the same an older one takes over", () => {
    const scene = servedScene().see("a1", "refused");
    scene.see("a2", detached(110, { version: "redis 8.2.3" }));
    scene
      .see("a3", detached(110, { version: "redis 7.0.15" }))
      .step(50)
      .step(50);
    expect(scene.partition.promoting).toBe("a3");
  });

  /** a2 is newer than a3, and alone holds what was acknowledged. */
  function newerIsFurther(): Scene {
    const scene = servedScene().see("a1", "refused");
    scene.see("a2", detached(120, { version: "redis 8.2.3" }));
    return scene.see("a3", detached(110, { version: "redis 7.0.15" })).step(50);
  }

  /** Whoever `promoting` names serves, the other of a2 and a3 follows it in sync. */
  function served(scene: Scene): Scene {
    const { promoting } = scene.partition;
    const [master, replica] = promoting === "a2" ? ["a2", "a3"] : ["a3", "a2"];
    const versionOf = (name: string) => (name === "a2" ? "redis 8.2.3" : "redis 7.0.15");
    const port = replica === "a3" ? 7003 : 7002;
    const replicas = [{ ip: "127.0.0.1", port, isOnline: true }];
    for (const offset of [120, 120, 120]) {
      const history = { replicationId: "h2", offset, keys: 9 };
      scene.see(master, masterInfo({ ...history, replicas, version: versionOf(master) }));
      scene.step(50).see(replica, replicaOf(master, { ...history, version: versionOf(replica) }));
    }
    return scene;
  }

  test("what was acknowledged comes before versions; then the newer one hands over to an older one", () => {
    const scene = newerIsFurther().step(50);
    expect(scene.partition.promoting).toBe("a2");
    served(scene).step(50);
    expect(scene.partition.master).toBe("a2");
    expect(scene.partition.handover).toMatchObject({ from: "a2", to: "a3" });
  });

  test("not when somebody chose the newer one", () => {
    const scene = newerIsFurther();
    const view = { ...scene.view, partitions: [{ ...scene.partition, promoting: "a2" }] };
    scene.view = view;
    served(scene).step(50).step(50);
    expect(scene.partition).toMatchObject({ master: "a2" });
    expect(scene.partition.handover ?? null).toBeNull();
  });
});

describe("most data nodes are silent", () => {
  /** a1 is master and silent, so is a2; `peers` of m2 and m3 say that they are cut off, or that they see all. */
  function mostSilent(conf: string, ...peers: boolean[]): Scene {
    const scene = servedScene(conf).seeAll("silent", "a1", "a2");
    scene.see("a3", replicaOf("a1", { offset: 110, keys: 9, isLinkUp: false }));
    for (const [at, isCutOff] of peers.entries()) {
      const suspects = new Set(isCutOff ? ["a1", "a2"] : []);
      scene.peers.set(`m${at + 2}`, { confDigest: "d1", suspects, isCutOff });
    }
    return scene;
  }

  function after(scene: Scene, cutOffForMs: number): Scene {
    scene.cutOffForMs = cutOffForMs;
    return scene.step();
  }

  test("a majority of the monitors sees the same for down-after: the master is failed over", () => {
    const scene = mostSilent(CONF, true);
    expect(after(scene, 500).partition.master).toBe("a1");
    expect(scene.view.undecided).toContain("most data nodes do not answer");
    expect(after(scene, 1000).partition.master).toBeNull();
    expect(scene.view.undecided).toBeUndefined();
    scene
      .see("a3", detached() satisfies Seen)
      .step(50)
      .step(2000);
    expect(scene.partition.promoting).toBe("a3");
  });

  test("others get answers: the alpha gives way in the end, and nothing is failed over", () => {
    const scene = mostSilent(CONF, false, false);
    expect(after(scene, 4900).last?.doubt.kind).toBe("waits");
    expect(scene.view).toMatchObject({ state: "DEGRADED" });
    expect(scene.partition.master).toBe("a1");
    expect(after(scene, 5000).last?.doubt.kind).toBe("refuted");
  });

  test("no other monitor is there to say: nothing is decided, and the status says what is missing", () => {
    const scene = mostSilent(CONF);
    expect(after(scene, 60_000).partition.master).toBe("a1");
    expect(scene.view.undecided).toContain("only 1 of the 2 monitors needed confirm it");
  });

  test("a single monitor decides after five times down-after", () => {
    const scene = mostSilent(CONF.replace(/^m[23]=.*\n/gm, ""));
    expect(after(scene, 4900).partition.master).toBe("a1");
    expect(after(scene, 5000).partition.master).toBeNull();
  });
});

test("a rogue master that is paused goes on when its partition has lost its master meanwhile", () => {
  // Method: a2 calls itself master and was paused for a rescue; then a1 dies before a2 was detached.
  const scene = servedScene();
  scene
    .see("a2", masterInfo({ runId: "run", offset: 120, keys: 9 }))
    .see("a1", "refused")
    .step();
  const pauses = new Map([["a2", { sinceMs: scene.nowMs - 10, untilMs: scene.nowMs + 90_000 }]]);
  const memory = { pauses, nowMs: scene.nowMs, attemptMs: 1000 };
  const actions = actionsOf(scene.view, scene.last?.nodeHealth ?? new Map(), memory);
  expect(actions.find(({ node }) => node === "a2")?.kind).toBe("step-down");
});

test("a replica that is still paused goes on", () => {
  const scene = servedScene();
  const pauses = new Map([["a2", { sinceMs: scene.nowMs - 10, untilMs: scene.nowMs + 90_000 }]]);
  const memory = { pauses, nowMs: scene.nowMs, attemptMs: 1000 };
  const actions = actionsOf(scene.view, scene.last?.nodeHealth ?? new Map(), memory);
  expect(actions.find(({ node }) => node === "a2")?.kind).toBe("unpause");
});
