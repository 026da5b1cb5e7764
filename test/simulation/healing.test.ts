import { expect, test } from "vitest";
import type { Scenario } from "./scenario.ts";
import { World } from "./world.ts";

/** Two partitions on three hosts, and a quiet network but for what the test cuts. */
const SCENARIO: Partial<Scenario> = {
  partitions: 2,
  nodesPerPartition: 3,
  statusNodes: 3,
  monitors: 3,
  routers: 1,
  ackReplicas: 1,
  leaseMs: 300,
  downAfterMs: 600,
  drift: 0,
  weather: { leastMs: 0.1, spreadMs: 0.5, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 },
  kinds: [],
  mistake: undefined,
};

const PAIRS = [
  ["h1", "h2"],
  ["h1", "h3"],
  ["h2", "h3"],
] as const;

type Change = (world: World, from: string, to: string) => void;

const cut: Change = ({ network }, from, to) => {
  network.cut(from, to);
  network.cut(to, from);
};

const heal: Change = ({ network }, from, to) => {
  network.heal(from, to);
  network.heal(to, from);
};

async function pass({ scheduler }: World, ms: number): Promise<void> {
  await scheduler.run(() => false, scheduler.nowMs + ms);
}

/** Each partition's master by the newest chosen view. */
function mastersOf(world: World): (string | null)[] {
  return (world.checks.register.view?.partitions ?? []).map(({ master }) => master);
}

/** All hosts are cut off from one another; h1, which has both masters, is the last one that the others reach again. */
async function anOutage(seed: number, meanwhile: (world: World) => void): Promise<World> {
  const world = new World({ seed, scenario: SCENARIO });
  world.start();
  await pass(world, 3000);
  expect(mastersOf(world)).toEqual(["a1", "b1"]);
  for (const [one, other] of PAIRS) cut(world, one, other);
  await pass(world, 4000);
  meanwhile(world);
  heal(world, "h2", "h3");
  await pass(world, 1000);
  heal(world, "h1", "h2");
  heal(world, "h1", "h3");
  return world;
}

test("hosts that meet again one after the other keep their masters", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const world = await anOutage(seed, () => undefined);
    await pass(world, 4000);
    expect(mastersOf(world)).toEqual(["a1", "b1"]);
  }
});

test("a master that hangs since the outage is replaced once the hosts have met again", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const world = await anOutage(seed, ({ dataNodes }) => {
      dataNodes.find(({ name }) => name === "b1")?.process.pause();
    });
    await pass(world, 4000);
    const [a, b] = mastersOf(world);
    expect([a, b === "b2" || b === "b3"]).toEqual(["a1", true]);
  }
});
