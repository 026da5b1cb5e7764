// The register under a hostile network, from seeds; register-simulation.ts says what happens, register-oracle.ts what
// must never: two values under one ballot, a chosen value that did not grow from the one before, a claim that is false.
import { expect, test } from "vitest";
import { simulateRegister, type Mistake } from "../../support/register-simulation.ts";

const NODES = [3, 3, 5, 4, 1] as const;

/** What each seed violated, and how many values were chosen in all. */
async function simulateSeeds(count: number, mistake?: Mistake) {
  const violations: string[] = [];
  let chosenCount = 0;
  let readmittedCount = 0;
  for (let seed = 1; seed <= count; seed++) {
    const oracle = await simulateRegister({
      seed,
      nodes: NODES[seed % NODES.length] ?? 3,
      proposers: 2 + (seed % 2),
      steps: 800,
      ...(mistake === undefined ? {} : { mistake }),
    });
    violations.push(...oracle.violations.map((violation) => `seed ${seed}: ${violation}`));
    chosenCount += oracle.chosen.length;
    const lives = oracle.chosen.flatMap(({ members }) => Object.values(members));
    readmittedCount += new Set(lives).size - Object.keys(oracle.chosen[0]?.members ?? {}).length;
  }
  return { violations, chosenCount, readmittedCount };
}

test("no value is lost, forked or claimed falsely, whatever the network and the nodes do", async () => {
  const { violations, chosenCount, readmittedCount } = await simulateSeeds(150);
  expect(violations).toEqual([]);
  // The simulation would prove nothing if little were chosen in it, or no emptied node ever voted again.
  expect(chosenCount).toBeGreaterThan(1000);
  expect(readmittedCount).toBeGreaterThan(50);
});

test.for<Mistake>(["quorum-of-one", "promise-forgotten", "disk-rolled-back", "majority-emptied"])(
  "the same simulation sees the mistake: %s",
  async (mistake) => {
    const { violations } = await simulateSeeds(40, mistake);
    expect(violations).not.toEqual([]);
  },
);
