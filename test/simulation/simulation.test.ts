import { expect, test } from "vitest";
import { simulate } from "./simulate.ts";

test("a seed is replayed to the same trace, line by line", async () => {
  for (const seed of [1, 6, 7]) {
    const first = await simulate({ seed });
    const again = await simulate({ seed });
    expect(again.trace).toEqual(first.trace);
    expect(again.traceHash).toBe(first.traceHash);
    expect(again.eventCount).toBe(first.eventCount);
  }
});

test("without any fault every size of cluster becomes OK and loses nothing", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { violations, acknowledged } = await simulate({ seed, scenario: { kinds: [] } });
    expect(violations, `seed ${seed}`).toEqual([]);
    expect(acknowledged).toBeGreaterThan(0);
  }
});
