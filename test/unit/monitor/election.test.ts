import { expect, test } from "vitest";
import {
  isNewer,
  leaseEndMs,
  mayContend,
  startWatch,
  watchOn,
} from "../../../runtime/monitor/decide/failover/election.ts";

const at = (epoch: number, count: number, proposer = "m1") => {
  return { epoch, ballot: { count, proposer } };
};

test("nobody contends before the heartbeat has stood still for a lease and the spread", () => {
  const watch = startWatch(at(3, 10), 1000, 500, 0.5);
  expect(mayContend(watch, 1500, 500)).toBe(false);
  expect(mayContend(watch, 1624, 500)).toBe(false);
  expect(mayContend(watch, 1625, 500)).toBe(true);
});

test("a heartbeat that moves starts the lease anew, one that stands still does not", () => {
  const watch = startWatch(at(3, 10), 1000, 500, 0);
  expect(watchOn(watch, at(3, 10), 1400, 500, 0)).toBe(watch);
  expect(watchOn(watch, at(3, 11), 1400, 500, 0).sinceMs).toBe(1400);
  expect(watchOn(watch, at(4, 12), 1400, 500, 0).sinceMs).toBe(1400);
});

test("an older heartbeat, from a status node that lags, is not news", () => {
  const watch = startWatch(at(3, 10), 1000, 500, 0);
  expect(watchOn(watch, at(2, 9), 1400, 500, 0)).toBe(watch);
});

test("an accept of another monitor under the same count is news", () => {
  expect(isNewer(at(3, 10, "m2"), at(3, 10, "m1"))).toBe(true);
  expect(isNewer(at(3, 10, "m1"), at(3, 10, "m2"))).toBe(false);
});

test("before the first view only the spread is waited", () => {
  const watch = startWatch({ epoch: 0, ballot: null }, 1000, 500, 0.2);
  expect(mayContend(watch, 1049, 500)).toBe(false);
  expect(mayContend(watch, 1050, 500)).toBe(true);
});

test("a value found at the first prepare is newer than no value: the contender gives way", () => {
  expect(isNewer(at(1, 1), { epoch: 0, ballot: null })).toBe(true);
});

test("the alpha's own lease ends before any watcher's can", () => {
  // Method: the watcher sees the accept at the instant of its sending, the worst case, and draws no spread.
  const sentAtMs = 700;
  const watch = startWatch(at(1, 1), sentAtMs, 500, 0);
  const endMs = leaseEndMs(sentAtMs, 500);
  expect(endMs).toBeLessThan(sentAtMs + 500);
  expect(mayContend(watch, endMs, 500)).toBe(false);
});
