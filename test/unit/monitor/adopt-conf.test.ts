import { describe, expect, test } from "vitest";
import { hashingWith } from "../../../runtime/core/hashing.ts";
import { actionsOf } from "../../../runtime/monitor/decide/actions.ts";
import { leadConflict } from "../../../runtime/monitor/decide/views/adopt-conf.ts";
import {
  CONF,
  configOf,
  infoOf,
  masterInfo,
  replicaOf,
  servedScene,
  type Scene,
} from "./situations.ts";

const peer = { confDigest: "d2", suspects: new Set<string>() };

test("a changed twine.conf waits for a majority of the monitors, then its new node is synced in", () => {
  const scene = servedScene();
  scene.config = configOf(`${CONF}a4=data 0 localhost 7004 0\n`);
  scene.digest = "d2";
  scene.step();
  expect(scene.last?.conf.kind).toBe("waits");
  expect(scene.view.nodes.some(({ name }) => name === "a4")).toBe(false);
  scene.peers.set("m3", peer);
  scene.step();
  expect(scene.view.confDigest).toBe("d2");
  expect(scene.role("a4")).toBe("dead");
  expect(scene.role("a1")).toBe("master");
  expect(scene.view.state).toBe("DEGRADED");
});

test("a file that names one monitor is not adopted by that one while the others run", () => {
  const scene = servedScene();
  scene.peers.set("m2", { ...peer, confDigest: "d1" }).set("m3", { ...peer, confDigest: "d1" });
  scene.config = configOf(CONF.replace(/^m[23].*$/gm, ""));
  scene.digest = "d2";
  scene.step().step();
  expect(scene.last?.conf).toMatchObject({
    kind: "waits",
    why: "1 of the 3 monitors that run now hold the new twine.conf, and 2 must",
  });
  expect(scene.view.confDigest).toBe("d1");
  // One of those that are dropped agrees: it holds the new file.
  scene.peers.set("m2", peer);
  scene.step();
  expect(scene.view.confDigest).toBe("d2");
  expect(scene.role("m3")).toBeUndefined();
});

test("nobody is judged by a file that is not adopted: one monitor of its own file is no majority", () => {
  const scene = servedScene();
  scene.adopted = scene.config;
  scene.config = configOf(CONF.replace(/^m[23].*$/gm, ""));
  scene.digest = "d2";
  scene.peers.set("m2", { ...peer, confDigest: "d1" }).set("m3", { ...peer, confDigest: "d1" });
  // Silent to this monitor alone: a suspect by the three of the adopted file, down by the one of its own.
  scene.see("a1", "silent").step(5000);
  expect(scene.role("a1")).toBe("master");
  expect(scene.last?.nodeHealth.get("a1")?.kind).toBe("suspect");
});

test("the view marks the monitors that hold another file, until they hold the adopted one or are gone", () => {
  const scene = servedScene();
  const marked = (): string[] =>
    scene.view.nodes.filter(({ otherConf }) => otherConf === true).map(({ name }) => name);
  scene.peers.set("m2", { ...peer, confDigest: "d1" }).set("m3", { ...peer, confDigest: "d9" });
  scene.step();
  expect(marked()).toEqual(["m3"]);
  const { revision } = scene.view;
  scene.peers.delete("m3");
  scene.step();
  expect(marked()).toEqual(["m3"]);
  expect(scene.view.revision).toBe(revision);
  scene.peers.set("m3", { ...peer, confDigest: "d1" });
  scene.step();
  expect(marked()).toEqual([]);
  scene.digest = "d2";
  scene.step();
  expect(marked()).toEqual(["m1"]);
});

/** A served scene whose monitors all hold another twine.conf. */
function changedScene(text: string, from = CONF): Scene {
  const scene = servedScene(from);
  scene.config = configOf(text);
  scene.digest = "d2";
  scene.peers.set("m2", peer).set("m3", peer);
  return scene;
}

const masterAt = (offset: number) => masterInfo({ runId: "run", offset, keys: 9 });
const NOWHERE = infoOf({ replicationId: "h1", offset: 110, keys: 9 });
const isRetiring = (scene: Scene, name: string): boolean | undefined =>
  scene.view.nodes.find((node) => node.name === name)?.retiring;

describe("a replica that left twine.conf", () => {
  const WITHOUT_A3 = CONF.replace(/^a3.*$/m, "");

  test("is flagged, detached, and leaves when the others have what it may have acknowledged", () => {
    const scene = changedScene(WITHOUT_A3);
    scene.step();
    expect(isRetiring(scene, "a3")).toBe(true);
    expect(scene.view.confDigest).toBe("d1");
    expect(scene.last?.conf).toMatchObject({ why: "a3 is being detached from partition 0" });
    expect(actionsFor(scene, "a3")).toEqual(["step-down"]);
    scene.see("a3", NOWHERE).step();
    expect(scene.inSync("a3")).toBe(false);
    // Sampled after that, and a2 has not reached it.
    scene.see("a1", masterAt(120)).step();
    expect(isRetiring(scene, "a3")).toBe(true);
    scene.see("a2", replicaOf("a1", { offset: 120, keys: 9 })).step();
    expect(scene.role("a3")).toBeUndefined();
    expect(scene.partition).toMatchObject({ master: "a1", replicas: ["a2"], dead: [] });
    scene.step();
    expect(scene.view.confDigest).toBe("d2");
  });

  test("is gone at once when it does not run", () => {
    const scene = changedScene(WITHOUT_A3);
    scene.see("a3", "refused").step().step();
    scene.see("a1", masterAt(110)).step();
    expect(scene.role("a3")).toBeUndefined();
  });

  test("with ack-replicas it stays while too few others hold the writes that it acknowledged", () => {
    const scene = changedScene(`${WITHOUT_A3}ack-replicas 1\n`, `${CONF}ack-replicas 1\n`);
    scene.see("a2", "refused").see("a3", NOWHERE).step();
    scene.see("a1", masterAt(110)).step(2000);
    expect(isRetiring(scene, "a3")).toBe(true);
    scene.see("a2", replicaOf("a1", { offset: 110, keys: 9 })).step();
    expect(scene.role("a3")).toBeUndefined();
  });

  test("stays when twine.conf is changed back, and what had come in leaves", () => {
    const scene = changedScene(`${WITHOUT_A3}a4=data 0 localhost 7004 0\n`);
    scene.step();
    expect(scene.role("a4")).toBe("dead");
    scene.config = configOf(CONF);
    scene.digest = "d1";
    scene.see("a4", infoOf()).step();
    expect(isRetiring(scene, "a3")).toBeUndefined();
    expect(isRetiring(scene, "a4")).toBe(true);
    scene.see("a1", masterAt(110)).step();
    expect(scene.role("a4")).toBeUndefined();
    expect(scene.last?.conf.kind).toBe("retiring");
    expect(scene.step().last?.conf.kind).toBe("same");
  });

  test("and moved to another port comes back under its name once the old one has left", () => {
    const scene = changedScene(CONF.replace("7003", "7013"));
    scene.step();
    scene.see("a3", NOWHERE).step();
    scene.see("a1", masterAt(110)).step();
    expect(scene.role("a3")).toBeUndefined();
    scene.step();
    expect(scene.view.nodes.find(({ name }) => name === "a3")).toMatchObject({ port: 7013 });
    expect(scene.view.confDigest).toBe("d2");
  });
});

describe("a master that left twine.conf", () => {
  test("hands over to the first replica that stays", () => {
    const scene = changedScene(CONF.replace(/^a1.*$/m, ""));
    scene.step();
    expect(scene.partition).toMatchObject({
      master: "a1",
      handover: { from: "a1", to: "a2", phase: "pause" },
    });
    expect(actionsFor(scene, "a1")).toEqual(["pause"]);
  });

  test("stays master, with the reason told, while nobody can take over", () => {
    const scene = changedScene(CONF.replace(/^a1.*$/m, ""));
    scene.seeAll("refused", "a2", "a3").step();
    expect(scene.partition).toMatchObject({ master: "a1" });
    expect(scene.last?.conf).toMatchObject({
      kind: "retiring",
      why: "no replica of partition 0 can take over: a2 is dead; a3 is dead",
    });
  });

  test("is not tried again at once after a handover that failed", () => {
    const scene = changedScene(CONF.replace(/^a1.*$/m, ""));
    scene.step();
    scene.see("a2", replicaOf("a1", { runId: "other" })).step();
    expect(scene.partition.handover).toBeNull();
    scene
      .see("a2", replicaOf("a1", { offset: 110, keys: 9 }))
      .step()
      .step();
    expect(scene.partition.handover).toBeNull();
  });

  test("of a partition without one now is kept: its data would go with it", () => {
    const scene = changedScene(CONF.replace(/^a1.*$/m, ""));
    scene.seeAll("refused", "a1", "a2", "a3");
    scene.config = configOf(CONF);
    scene.digest = "d1";
    scene.step();
    expect(scene.partition.master).toBeNull();
    scene.config = configOf(CONF.replace(/^a1.*$/m, ""));
    scene.digest = "d2";
    scene.step();
    expect(scene.last?.conf.kind).toBe("refused");
  });
});

/** What the view asks of one node, by kind. */
function actionsFor(scene: Scene, name: string): string[] {
  const { view, last, nowMs, pauses } = scene;
  return actionsOf(view, last?.nodeHealth ?? new Map(), { pauses, nowMs, attemptMs: 2000 })
    .filter(({ node }) => node === name)
    .map(({ kind }) => kind);
}

test.each([
  ["partitions", `${CONF.replace("partitions 1", "partitions 2")}b1=data 1 localhost 7009 0\n`],
  ["the hash tag", `${CONF}hash-tag {}\n`],
])("a twine.conf that changes %s is refused, whoever holds it", (_what, text) => {
  const scene = servedScene();
  const { partitions, confDigest } = scene.view;
  scene.config = configOf(text);
  scene.digest = "d2";
  scene.peers.set("m2", peer).set("m3", peer);
  scene.step();
  expect(scene.last?.conf.kind).toBe("refused");
  expect(scene.view).toMatchObject({ partitions, confDigest });
});

test("another function is refused, under its own name and under the old one; the same one is adopted with its new path", () => {
  const scene = servedScene();
  const module = (path: string, fingerprint: string) =>
    hashingWith({ hash: { kind: "module", path }, partitions: 1 }, fingerprint);
  scene.view = { ...scene.view, hashing: module("./mine.mjs", "1111") };
  scene.digest = "d2";
  scene.peers.set("m2", peer).set("m3", peer);
  for (const path of ["./mine.mjs", "./other.mjs"]) {
    scene.hashing = module(path, "2222");
    expect(scene.step().last?.conf).toMatchObject({
      kind: "refused",
      why: expect.stringMatching(/fingerprint 1111.*fingerprint 2222/) as string,
    });
  }
  scene.hashing = module("/srv/moved.mjs", "1111");
  scene.step();
  expect(scene.last?.conf.kind).toBe("adopted");
  expect(scene.view.hashing).toEqual(scene.hashing);
});

test.each([
  ["one status node more", `${CONF}s2=status localhost 7102 0\n`, undefined],
  ["the same", CONF, undefined],
  ["another one instead", CONF.replace("7101", "7102"), /add or remove one at a time/],
  ["two more", `${CONF}s2=status localhost 7102 0\ns3=status localhost 7103 0\n`, /one at a time/],
  ["another hash tag", `${CONF}hash-tag {}\n`, /keys are placed by crc32/],
])("a monitor whose twine.conf names %s may or must not lead", (_what, text, why) => {
  const conflict = leadConflict(servedScene().view, configOf(text));
  if (why === undefined) expect(conflict).toBeUndefined();
  else expect(conflict).toMatch(why);
});
