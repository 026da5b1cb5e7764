// pause.test.ts: how soon a dead worker is replaced.
import { expect, test } from "vitest";
import { nextPauseMs, PAUSE_MS_MAX, WELL_MS } from "../../../../runtime/router/workers/pause.ts";

test("a worker that had lived is replaced at once, those that die at once after pauses that double to a bound", () => {
  expect(nextPauseMs(WELL_MS, 5)).toEqual({ pauseMs: 0, quickDeathCount: 0 });
  const pauses: number[] = [];
  let quickDeathCount = 0;
  for (let death = 0; death < 10; death++) {
    const next = nextPauseMs(10, quickDeathCount);
    pauses.push(next.pauseMs);
    ({ quickDeathCount } = next);
  }
  expect(pauses.slice(0, 7)).toEqual([100, 200, 400, 800, 1600, 3200, 6400]);
  expect(pauses.slice(7)).toEqual([PAUSE_MS_MAX, PAUSE_MS_MAX, PAUSE_MS_MAX]);
});
