// copy-pace.test.ts: how fast keys are copied, on a clock of the test's own.
import { expect, test } from "vitest";
import {
  CopyPace,
  nextRest,
  parseCopyLimit,
  slowestTenth,
} from "../../../runtime/move/copy-pace.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";

/** Time passes only by delays, and by `pass`. */
function startClock(): Clock & { pass: (ms: number) => void } {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    wallTime: () => "",
    after: () => () => undefined,
    delay: (delayMs) => {
      nowMs += delayMs;
      return Promise.resolve();
    },
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

test("a rest is doubled while the sources answer late, up to a limit, and halved to none when they do not", () => {
  const rests = [0];
  for (let step = 0; step < 8; step++) rests.push(nextRest(rests.at(-1) ?? 0, 10, 2));
  expect(rests).toEqual([0, 0.25, 0.5, 1, 2, 4, 8, 8, 8]);
  for (let step = 0; step < 6; step++) rests.push(nextRest(rests.at(-1) ?? 0, 2, 2));
  expect(rests.slice(9)).toEqual([4, 2, 1, 0.5, 0.25, 0]);
});

test("one late answer in ten is no reason to rest", () => {
  expect(slowestTenth([])).toBe(0);
  expect(slowestTenth([1, 1, 1, 1, 90, 1, 1, 1, 1, 1, 1])).toBe(1);
  expect(slowestTenth([1, 1, 50, 1, 90, 1, 1, 1, 1, 1, 1])).toBe(50);
});

/** How long a hundred pieces of work of 10 ms take, when a PING takes so long before and meanwhile. */
async function workedMs(beforeMs: number, meanwhileMs: number): Promise<number> {
  const clock = startClock();
  let tookMs = beforeMs;
  const probe = (): Promise<void> => clock.delay(tookMs);
  const pace = new CopyPace({ clock, probe });
  await pace.begin();
  tookMs = meanwhileMs;
  const beganMs = clock.nowMs();
  for (let count = 0; count < 100; count++) {
    clock.pass(10);
    await pace.copied(1, 1);
  }
  return clock.nowMs() - beganMs - 100 * meanwhileMs;
}

test("the copy slows down only while the sources answer more than twice as late as before", async () => {
  expect(await workedMs(1, 1)).toBe(1000);
  expect(await workedMs(1, 2)).toBe(1000);
  expect(await workedMs(1, 9)).toBeGreaterThan(2500);
});

test("a limit counts keys or bytes of all sources together", async () => {
  for (const limit of [{ keys: 1000 }, { bytes: 50_000 }]) {
    const clock = startClock();
    const pace = new CopyPace({ clock, limit, probe: () => Promise.resolve() });
    await Promise.all(
      [1, 2].map(async () => {
        for (let count = 0; count < 50; count++) await pace.copied(10, 500);
      }),
    );
    expect(clock.nowMs()).toBe(1000);
  }
});

test("a long value is waited for bit by bit: a source ends a transfer that stands still for a minute", async () => {
  const clock = startClock();
  const limit = parseCopyLimit("1mb");
  const pace = new CopyPace({ clock, limit, probe: () => Promise.resolve() });
  const waitsMs: number[] = [];
  const copied = async (bytes: number): Promise<void> => {
    const beganMs = clock.nowMs();
    await pace.copied(1, bytes);
    waitsMs.push(clock.nowMs() - beganMs);
  };
  await copied(100 * 1024 * 1024);
  for (let count = 0; count < 80; count++) await copied(64 * 1024);
  expect(Math.max(...waitsMs)).toBe(2000);
  // All 105 MB are paid for in the end.
  expect(clock.nowMs()).toBe(105_000);
});

test("with max nothing is asked, and nothing rests", async () => {
  const clock = startClock();
  const probe = (): Promise<void> => Promise.reject(new Error("nobody asks"));
  const pace = new CopyPace({ clock, probe, limit: parseCopyLimit("max") });
  await pace.begin();
  clock.pass(100);
  await pace.copied(1000, 1000);
  expect(clock.nowMs()).toBe(100);
});

test("a limit is a number of keys, or of bytes with a unit", () => {
  expect(parseCopyLimit("20000")).toEqual({ keys: 20_000 });
  expect(parseCopyLimit("10MB")).toEqual({ bytes: 10 * 1024 * 1024 });
  expect(parseCopyLimit("1000")).toEqual({ keys: 1000 });
  expect(parseCopyLimit("100kb")).toEqual({ bytes: 100 * 1024 });
  for (const text of ["", "0", "999", "0kb", "99kb", "-1", "1.5mb", "fast", "10 mb"]) {
    expect(parseCopyLimit(text)).toBeUndefined();
  }
});
