// stall-watch.test.ts: how a process notices that its own loop stood still.
import { expect, test } from "vitest";
import { StallWatch } from "../../../runtime/replica-sets/stall-watch.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";

/** Time that stands until it is moved; its timers run only when `runDue` says so, as after a stall. */
function heldClock() {
  let nowMs = 0;
  let timers: { atMs: number; task: () => void }[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    wallTime: () => "",
    after: (delayMs, task) => {
      const timer = { atMs: nowMs + delayMs, task };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    delay: () => Promise.resolve(),
  };
  const runDue = (): void => {
    const due = timers.filter(({ atMs }) => atMs <= nowMs);
    timers = timers.filter(({ atMs }) => atMs > nowMs);
    for (const { task } of due) task();
  };
  return {
    clock,
    runDue,
    timerCount: () => timers.length,
    pass: (ms: number) => (nowMs += ms),
  };
}

test("a loop that runs in time was awake from the beginning", () => {
  const { clock, pass, runDue } = heldClock();
  const watch = new StallWatch(clock, 100);
  for (let count = 0; count < 20; count++) {
    pass(50);
    runDue();
  }
  expect(watch.awakeSinceMs()).toBe(0);
});

test("after a stall the count begins anew, whether the tick or the question comes first", () => {
  const { clock, pass, runDue, timerCount } = heldClock();
  const watch = new StallWatch(clock, 100);
  pass(300);
  expect(watch.awakeSinceMs()).toBe(300);
  runDue();
  expect(timerCount()).toBe(1);
  pass(100);
  runDue();
  expect(watch.awakeSinceMs()).toBe(300);
  pass(500);
  runDue();
  pass(10);
  expect(watch.awakeSinceMs()).toBe(900);
  expect(timerCount()).toBe(1);
});

test("a watch that is closed leaves no timer behind, even when it is asked afterwards", () => {
  const { clock, pass, timerCount } = heldClock();
  const watch = new StallWatch(clock, 100);
  watch.close();
  pass(1000);
  watch.awakeSinceMs();
  expect(timerCount()).toBe(0);
});
