import { describe, expect, test } from "vitest";
import { HUNTS, type Hunt } from "./hunts.ts";
import { BROKEN_RULES, BROKEN_WORDS, type Mistake } from "./mistakes.ts";
import { simulate } from "./simulate.ts";

const LONG_MS = 300_000;

function seedsOf({ seeds: [first, last] }: Hunt): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** What the first seed says that finds the mistake, or all that was seen instead. */
async function hunt(mistake: Mistake): Promise<string> {
  const { scenario, found } = HUNTS[mistake];
  const others: string[] = [];
  for (const seed of seedsOf(HUNTS[mistake])) {
    const { violations } = await simulate({ seed, mistake, scenario });
    const violation = violations.find((text) => found.test(text));
    if (violation !== undefined) return violation;
    others.push(...violations);
  }
  return `not found; seen instead: ${others.join("; ")}`;
}

/** The same without the mistake: what it found was the mistake's doing. */
async function violationsWithout(mistake: Mistake): Promise<string[]> {
  const { scenario } = HUNTS[mistake];
  const all: string[] = [];
  for (const seed of seedsOf(HUNTS[mistake])) {
    const { violations } = await simulate({ seed, scenario });
    all.push(...violations.map((text) => `seed ${seed}: ${text}`));
  }
  return all;
}

const RULES = Object.keys(BROKEN_RULES) as (keyof typeof BROKEN_RULES)[];
const WORDS = Object.keys(BROKEN_WORDS) as (keyof typeof BROKEN_WORDS)[];

describe("one of production's own rules is broken and found out", () => {
  test.each(RULES)("%s", { timeout: LONG_MS }, async (mistake) => {
    expect(await hunt(mistake)).toMatch(HUNTS[mistake].found);
    expect(await violationsWithout(mistake)).toEqual([]);
  });
});

describe("a world that breaks its word is found out", () => {
  test.each(WORDS)("%s", { timeout: LONG_MS }, async (mistake) => {
    expect(await hunt(mistake)).toMatch(HUNTS[mistake].found);
    expect(await violationsWithout(mistake)).toEqual([]);
  });
});
