// follow-seeds.test.ts: following under random times, restarts and lags, from seeds: nothing acknowledged is thrown away, and
// nobody takes over who lacks a write. Each rule that this rests on is broken once, and the check must notice.
import { describe, expect, test } from "vitest";
import type { FollowRequest, Request } from "../../../runtime/core/request.ts";
import { RULES, type Rules } from "../../../runtime/monitor/decide/rules.ts";
import { Scene, infoOf, masterInfo, replicaOf } from "./situations.ts";
import { seededRandom } from "../../../runtime/ports/seeded-random.ts";

const NAMES = ["a1", "a2", "a3"];
const OLD = { host: "10.0.0.9", port: 6379 };
const SEEDS = Array.from({ length: 100 }, (_, index) => index + 1);
const LEASE_MS = 500;

function ask(scene: Scene, step: FollowRequest["step"], offset = 500): void {
  const body = { ...({ kind: "follow", partition: 0, by: "seed" } as const), ...OLD, step };
  const request: Request = {
    ...{ id: step, state: "asked", message: "" },
    body: { ...body, replicationId: "old", offset },
  };
  scene.requests = [request];
  scene.step();
  scene.requests = [];
}

function emptyScene(rules: Rules): Scene {
  const scene = new Scene();
  scene.rules = rules;
  scene.seeAll(infoOf(), ...NAMES).step();
  scene.see("a1", masterInfo()).seeAll(replicaOf("a1"), "a2", "a3").step().step();
  return scene;
}

/** A router writes once, at some time before its lease on the old view ends. Answers whether that write was thrown away. */
function losesWrite(seed: number, rules: Rules): boolean {
  const random = seededRandom(seed);
  const scene = emptyScene(rules);
  ask(scene, "begin");
  const writtenAtMs = scene.nowMs + random.next() * LEASE_MS;
  const endMs = scene.nowMs + 5_000;
  while (scene.nowMs < endMs) {
    if (scene.partition.following?.phase === "copying") return scene.nowMs >= writtenAtMs;
    // What the monitor sees is as old as its last question.
    if (random.next() < 0.4) {
      const keys = scene.nowMs >= writtenAtMs ? 1 : 0;
      scene.see("a1", masterInfo({ keys })).seeAll(replicaOf("a1", { keys }), "a2", "a3");
    }
    scene.step(20 + Math.floor(random.next() * 100));
  }
  return false;
}

/** Nodes lag and restart. Answers whether one that lacks a write of the old master took over. */
function promotesTooShort(seed: number, rules: Rules): boolean {
  const random = seededRandom(seed);
  const scene = emptyScene(rules);
  ask(scene, "begin");
  for (let round = 0; round < 20 && scene.partition.following?.phase !== "copying"; round += 1) {
    scene.see("a1", masterInfo()).seeAll(replicaOf("a1"), "a2", "a3").step(100);
  }
  const offsets = new Map(NAMES.map((name) => [name, 490 + Math.floor(random.next() * 11)]));
  const runs = new Map(NAMES.map((name) => [name, "run"]));
  ask(scene, "mark");
  for (let round = 0; round < 40; round += 1) {
    const isDetached = (scene.partition.failover ?? null) !== null;
    for (const name of NAMES) {
      if (!isDetached && random.next() < 0.3) {
        offsets.set(name, Math.min(500, (offsets.get(name) ?? 0) + Math.floor(random.next() * 4)));
      }
      // A restarted one may have lost its end.
      if (random.next() < 0.03) {
        runs.set(name, `run${round}`);
        offsets.set(name, (offsets.get(name) ?? 0) - 5);
      }
      const place = { offset: offsets.get(name) ?? 0, runId: runs.get(name) ?? "" };
      const info = { ...place, replicationId: "old", keys: 9 };
      scene.see(name, infoOf(isDetached ? info : { ...info, following: OLD, isLinkUp: true }));
    }
    if (!isDetached) ask(scene, "promote");
    else scene.step(100);
    const { promoting } = scene.partition;
    if (typeof promoting === "string") return (offsets.get(promoting) ?? 0) < 500;
  }
  return false;
}

describe("over seeds", () => {
  test("an acknowledged write is never thrown away for the old master's data", () => {
    expect(SEEDS.filter((seed) => losesWrite(seed, RULES))).toEqual([]);
    const broken = { ...RULES, mayFollow: () => true };
    expect(SEEDS.some((seed) => losesWrite(seed, broken))).toBe(true);
  });

  test("nobody takes over who lacks a write of the old master", () => {
    expect(SEEDS.filter((seed) => promotesTooShort(seed, RULES))).toEqual([]);
    const broken = { ...RULES, reachesMark: () => true };
    expect(SEEDS.some((seed) => promotesTooShort(seed, broken))).toBe(true);
  });
});
