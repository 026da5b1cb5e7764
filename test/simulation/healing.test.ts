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

/** The host of both masters is the last one that the others can reach again. */
async function mastersAfterAnOutage(seed: number): Promise<(string | null)[][]> {
  const world = new World({ seed, scenario: SCENARIO });
  world.start();
  await pass(world, 3000);
  const before = mastersOf(world);
  const away = `h${before[0]?.slice(1) ?? ""}`;
  for (const [one, other] of PAIRS) cut(world, one, other);
  await pass(world, 4000);
  for (const [one, other] of PAIRS) if (one !== away && other !== away) heal(world, one, other);
  await pass(world, 400);
  for (const [one, other] of PAIRS) heal(world, one, other);
  await pass(world, 4000);
  return [before, mastersOf(world)];
}

test("hosts that meet again one after the other keep their masters", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const [before, after] = await mastersAfterAnOutage(seed);
    expect(before).toHaveLength(2);
    expect(after).toEqual(before);
  }
});
