import { expect, test } from "vitest";
import { knownSeeds } from "./seeds.ts";
import { simulate, type Outcome } from "./simulate.ts";

const LONG_MS = 300_000;

/** What to read when a seed fails: how to run it again, what was broken, and what happened before that. */
function reportOf({ seed, violations, trace }: Outcome): string {
  const again = `npm run simulate -- --seed ${seed}`;
  return [...violations, again, ...trace.slice(0, 1), ...trace.slice(-40)].join("\n");
}

async function failuresOf(seeds: readonly number[]): Promise<string[]> {
  const failures: string[] = [];
  for (const seed of seeds) {
    const outcome = await simulate({ seed });
    if (outcome.violations.length > 0) failures.push(reportOf(outcome));
  }
  return failures;
}

test("a seed is replayed to the same trace, line by line", { timeout: LONG_MS }, async () => {
  for (const seed of [1, 6, 7]) {
    const first = await simulate({ seed });
    const again = await simulate({ seed });
    expect(again.trace).toEqual(first.trace);
    expect(again.traceHash).toBe(first.traceHash);
    expect(again.eventCount).toBe(first.eventCount);
  }
});

test("without any fault clusters of every size become OK and lose nothing", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const outcome = await simulate({ seed, scenario: { kinds: [], chaosMs: 500 } });
    expect(outcome.violations, reportOf(outcome)).toEqual([]);
    expect(outcome.acknowledged).toBeGreaterThan(0);
  }
});

test("200 seeds of faults break no promise", { timeout: LONG_MS }, async () => {
  const seeds = Array.from({ length: 200 }, (_, index) => index + 1);
  expect((await failuresOf(seeds)).join("\n\n")).toBe("");
});

test("seeds that failed once break no promise any more", { timeout: LONG_MS }, async () => {
  expect((await failuresOf(knownSeeds())).join("\n\n")).toBe("");
});
