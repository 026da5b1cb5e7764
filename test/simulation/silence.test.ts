// Faults that the alpha must not wait out: most data nodes hang; a rogue master's partition loses its master meanwhile.
// Each is played by production's rules and by a broken one, which must be seen to fail.
import { expect, test } from "vitest";
import { isCutOff } from "../../runtime/monitor/decide/nodes/node-health.ts";
import type { Rules } from "../../runtime/monitor/decide/rules.ts";
import type { Scenario } from "./scenario.ts";
import { World } from "./world.ts";

const SCENARIO: Partial<Scenario> = {
  partitions: 1,
  nodesPerPartition: 3,
  statusNodes: 3,
  monitors: 3,
  routers: 1,
  ackReplicas: 0,
  persistence: "aof",
  leaseMs: 200,
  downAfterMs: 400,
  drift: 0,
  weather: { leastMs: 0.1, spreadMs: 0.5, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 },
  // Nothing befalls it but what the test does; with this kind the monitors have a rescuer.
  kinds: ["made-master-by-hand"],
  mistake: undefined,
};

async function started(
  seed: number,
  rules: Partial<Rules>,
  scenario: Partial<Scenario> = {},
): Promise<World> {
  const world = new World({ seed, scenario: { ...SCENARIO, ...scenario }, rules });
  world.start();
  const isOk = (): boolean => world.checks.register.view?.state === "OK";
  expect(await world.scheduler.run(isOk, 10_000)).toBe(true);
  return world;
}

/** How long it takes until `isSo`; undefined when it is not within `ms`. */
async function takes(
  { scheduler }: World,
  ms: number,
  isSo: () => boolean,
): Promise<number | undefined> {
  const fromMs = scheduler.nowMs;
  return (await scheduler.run(isSo, fromMs + ms)) ? scheduler.nowMs - fromMs : undefined;
}

async function hangTwoOfThree(seed: number, rules: Partial<Rules>): Promise<string | null> {
  const world = await started(seed, rules);
  for (const { name, process } of world.dataNodes) if (name !== "a3") process.pause();
  const masterNow = (): string | null => world.checks.register.view?.partitions[0]?.master ?? null;
  await takes(world, 10_000, () => masterNow() === "a3");
  return masterNow();
}

test("most data nodes hang: the one that does not becomes master", async () => {
  for (let seed = 1; seed <= 3; seed++) expect(await hangTwoOfThree(seed, {})).toBe("a3");
});

test("it would not if the alpha's doubt had no end", async () => {
  const selfDoubtOf: Rules["selfDoubtOf"] = ({ observed }) =>
    isCutOff(observed.data) ? { kind: "waits", why: "for ever" } : { kind: "none" };
  expect(await hangTwoOfThree(1, { selfDoubtOf })).toBe("a1");
});

/** a2 is made master by hand and paused for its rescue; then the master dies. Answers whether a2 takes writes again. */
async function loseMasterAmidRescue(seed: number, rules: Partial<Rules>): Promise<boolean> {
  const world = await started(seed, rules, { syncMs: 2000 });
  const [master, rogue] = world.dataNodes;
  if (master === undefined || rogue === undefined) throw new Error("there are no data nodes");
  world.makeMasterByHand(rogue);
  expect(await takes(world, 5000, () => rogue.isWritePaused)).toBeDefined();
  // a3 takes its place: it has no writes of its own.
  master.process.pause();
  // Redis would end the pause by itself after 90 s.
  return (await takes(world, 20_000, () => !rogue.isWritePaused)) !== undefined;
}

// In some seeds the rescue is complete before the master is known to be lost.
const SEEDS = [2, 3, 7];

test("a rogue master's pause ends though its partition has lost its master", async () => {
  for (const seed of SEEDS) expect(await loseMasterAmidRescue(seed, {})).toBe(true);
});

test("it would not if detaching alone were thought to end it", async () => {
  const ends: boolean[] = [];
  for (const seed of SEEDS) ends.push(await loseMasterAmidRescue(seed, { endsPauses: false }));
  expect(ends).toContain(false);
});

/** How long after its master hung a partition has another one, in simulated milliseconds. */
async function replacedAfterMs(rules: Partial<Rules>): Promise<number | undefined> {
  const world = await started(1, rules);
  const masterNow = (): string | null => world.checks.register.view?.partitions[0]?.master ?? null;
  const before = masterNow();
  world.dataNodes.find(({ name }) => name === before)?.process.pause();
  return takes(world, 10_000, () => masterNow() !== null && masterNow() !== before);
}

test("a silent master is replaced after down-after: the routers' lease is waited out meanwhile", async () => {
  const { downAfterMs = 0, leaseMs = 0 } = SCENARIO;
  expect(await replacedAfterMs({})).toBeLessThan(downAfterMs + leaseMs / 2);
  expect(await replacedAfterMs({ isSuspended: () => false })).toBeGreaterThan(
    downAfterMs + leaseMs,
  );
});
