// seeded-random.ts: random numbers that a seed repeats, for repeatable schedules and tests that print their seed.
import type { Random } from "./random.ts";

export interface SeededRandom extends Random {
  /** A whole number from 0 to limit - 1. */
  below(limit: number): number;
  isOnceIn(times: number): boolean;
  pick<T>(choices: readonly T[]): T;
}

/** mulberry32, by Tommy Ettinger (public domain). */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    isOnceIn: (times) => below(times) === 0,
    pick: (choices) => {
      const choice = choices[below(choices.length)];
      if (choice === undefined) throw new Error("nothing to pick from");
      return choice;
    },
  };
}
