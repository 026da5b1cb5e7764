// A Sentinel of another system takes a node of ours for its own replica and makes it follow its master, which has other data. The
// node's own data is gone then: no monitor may make it master with what it copied, and nothing that was acknowledged is lost.
import { expect, test } from "vitest";
import type { DataNode } from "./data-node.ts";
import type { Scenario } from "./scenario.ts";
import { World } from "./world.ts";

const SCENARIO: Partial<Scenario> = {
  partitions: 1,
  nodesPerPartition: 3,
  statusNodes: 3,
  monitors: 3,
  routers: 1,
  ackReplicas: 1,
  leaseMs: 200,
  downAfterMs: 400,
  drift: 0,
  backlogSize: 10_000,
  syncMs: 50,
  writeEveryMs: 20,
  weather: { leastMs: 0.1, spreadMs: 0.5, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 },
  kinds: [],
  mistake: undefined,
};
/** Few, and more than ours have: no offset may mislead. */
const FOREIGN_COUNTS = [3, 500];
const SEEDS = [1, 2];

interface Stage {
  readonly world: World;
  readonly foreign: DataNode;
  readonly master: DataNode;
  readonly replicas: readonly DataNode[];
}

async function staged(seed: number, foreignCount: number): Promise<Stage> {
  const persistence = seed % 2 === 0 ? "rdb" : "aof";
  const world = new World({ seed, scenario: { ...SCENARIO, persistence } });
  world.start();
  const isBusy = (): boolean =>
    world.checks.register.view?.state === "OK" && world.checks.acknowledged.length > 50;
  expect(await world.scheduler.run(isBusy, 10_000)).toBe(true);
  const name = world.checks.register.view?.partitions[0]?.master;
  const [master] = world.dataNodes.filter((node) => node.name === name);
  if (master === undefined) throw new Error("an OK cluster has a master");
  const replicas = world.dataNodes.filter((node) => node !== master);
  return { world, foreign: world.startForeign(9999, foreignCount), master, replicas };
}

/** Our nodes hold a write that is the other system's. */
function holdsForeign(node: DataNode, foreign: DataNode): boolean {
  const own = new Set(foreign.replication.writes);
  return node.replication.writes.some((write) => own.has(write));
}

async function follows({ world, foreign }: Stage, node: DataNode): Promise<void> {
  world.repointByHand(node, foreign);
  const { scheduler } = world;
  const fromMs = scheduler.nowMs;
  const isTaken = (): boolean => node.replication.following?.port === foreign.address.port;
  expect(await scheduler.run(isTaken, fromMs + 1000)).toBe(true);
  // The monitors may be faster than its copy.
  await scheduler.run(() => holdsForeign(node, foreign), fromMs + 1000);
}

/**
 * Runs on until all is whole; meanwhile no node serves what the other system has. Only where the master died as well may the
 * partition wait for a decision: the monitors can't tell the other's data from writes that the taken replica alone had. It gets
 * the decision that it names, which is no node with the other's data.
 */
async function expectWhole({ world, foreign }: Stage, mayWait = false): Promise<void> {
  const { scheduler, checks, dataNodes } = world;
  const misled = (): DataNode | undefined =>
    dataNodes.find((node) => node.replication.isMaster && holdsForeign(node, foreign));
  const isWhole = (): boolean =>
    checks.register.view?.state === "OK" &&
    dataNodes.every((node) => node.process.isUp && !holdsForeign(node, foreign));
  const hasEnded = (): boolean =>
    misled() !== undefined || isWhole() || checks.violations.length > 0;
  if (!(await scheduler.run(hasEnded, scheduler.nowMs + 8000))) {
    expect(mayWait).toBe(true);
    const needs = checks.register.view?.partitions[0]?.needs ?? "";
    const [, name = ""] = /--accept-loss (\w+)/.exec(needs) ?? [];
    const named = dataNodes.find((node) => node.name === name);
    expect([needs, named !== undefined && !holdsForeign(named, foreign)]).toEqual([needs, true]);
    world.ask({ kind: "accept-loss", node: name });
    await scheduler.run(hasEnded, scheduler.nowMs + 8000);
  }
  expect([misled()?.name, isWhole(), checks.violations]).toEqual([undefined, true, []]);
  world.stopWriting();
  await scheduler.run(() => checks.violations.length > 0, scheduler.nowMs + 2000);
  const { view } = checks.register;
  if (view !== undefined) checks.judgeWrites(view);
  expect(checks.violations).toEqual([]);
}

const CASES = SEEDS.flatMap((seed) => FOREIGN_COUNTS.map((count) => [seed, count] as const));

test.each(CASES)("seed %i, %i foreign writes: a replica is brought back", async (seed, count) => {
  const stage = await staged(seed, count);
  const [replica] = stage.replicas;
  if (replica === undefined) throw new Error("there are two");
  await follows(stage, replica);
  await expectWhole(stage);
});

test.each(CASES)(
  "seed %i, %i foreign writes: the master dies meanwhile, and the other replica takes over",
  async (seed, count) => {
    const stage = await staged(seed, count);
    const [replica] = stage.replicas;
    if (replica === undefined) throw new Error("there are two");
    const { scheduler } = stage.world;
    await follows(stage, replica);
    stage.master.end("kill", false);
    await scheduler.run(() => false, scheduler.nowMs + 2000);
    stage.master.start();
    await expectWhole(stage, true);
  },
);

test.each(CASES)(
  "seed %i, %i foreign writes: the master itself is taken, and its replicas still have all",
  async (seed, count) => {
    const stage = await staged(seed, count);
    await follows(stage, stage.master);
    await expectWhole(stage);
  },
);

test.each(CASES)(
  "seed %i, %i foreign writes: the foreign master dies, and another one takes the node again",
  async (seed, count) => {
    const stage = await staged(seed, count);
    const [replica] = stage.replicas;
    if (replica === undefined) throw new Error("there are two");
    await follows(stage, replica);
    stage.foreign.end("kill", false);
    const next = { ...stage, foreign: stage.world.startForeign(9998, count) };
    await follows(next, replica);
    await expectWhole(next);
    expect(holdsForeign(replica, stage.foreign)).toBe(false);
  },
);
