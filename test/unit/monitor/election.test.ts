import { expect, test } from "vitest";
import {
  isNewer,
  leaseEndMs,
  mayContend,
  startWatch,
  watchOn,
} from "../../../runtime/monitor/decide/failover/election.ts";

test("nobody contends before the heartbeat has stood still for a lease and the spread", () => {
  const watch = startWatch({ epoch: 3, count: 10 }, 1000, 500, 0.5);
  expect(mayContend(watch, 1500, 500)).toBe(false);
  expect(mayContend(watch, 1624, 500)).toBe(false);
  expect(mayContend(watch, 1625, 500)).toBe(true);
});

test("a heartbeat that moves starts the lease anew, one that stands still does not", () => {
  const watch = startWatch({ epoch: 3, count: 10 }, 1000, 500, 0);
  expect(watchOn(watch, { epoch: 3, count: 10 }, 1400, 500, 0)).toBe(watch);
  expect(watchOn(watch, { epoch: 3, count: 11 }, 1400, 500, 0).sinceMs).toBe(1400);
  expect(watchOn(watch, { epoch: 4, count: 1 }, 1400, 500, 0).sinceMs).toBe(1400);
});

test("an older heartbeat, from a status node that lags, is not news", () => {
  const watch = startWatch({ epoch: 3, count: 10 }, 1000, 500, 0);
  expect(watchOn(watch, { epoch: 2, count: 9 }, 1400, 500, 0)).toBe(watch);
});

test("before the first view only the spread is waited", () => {
  const watch = startWatch({ epoch: 0, count: 0 }, 1000, 500, 0.2);
  expect(mayContend(watch, 1049, 500)).toBe(false);
  expect(mayContend(watch, 1050, 500)).toBe(true);
});

test("a value found at the first prepare is newer than no value: the contender gives way", () => {
  expect(isNewer({ epoch: 1, count: 1 }, { epoch: 0, count: 0 })).toBe(true);
});

test("the alpha's own lease ends before any watcher's can", () => {
  // Method: the watcher sees the accept at the instant of its sending, the worst case, and draws no spread.
  const sentAtMs = 700;
  const watch = startWatch({ epoch: 1, count: 1 }, sentAtMs, 500, 0);
  const endMs = leaseEndMs(sentAtMs, 500);
  expect(endMs).toBeLessThan(sentAtMs + 500);
  expect(mayContend(watch, endMs, 500)).toBe(false);
});
