// The one scheduler: rests between runs, triggers, the least gap, failures, and its stop.
import { expect, test } from "vitest";
import {
  startPeriodicTask,
  type PeriodicTaskOptions,
} from "../../../runtime/ports/periodic-task.ts";
import { ManualTime } from "../../support/manual-time.ts";

/** Starts a task whose runs are noted by their time; `spendMs` is how long each lasts. */
function repeated(options: Partial<PeriodicTaskOptions> & { spendMs?: number }) {
  const time = new ManualTime();
  const clock = time.clockOf("m1");
  const runs: number[] = [];
  const errors: unknown[] = [];
  const task = startPeriodicTask({
    clock,
    restMs: () => 100,
    run: async () => {
      runs.push(time.nowMs);
      if (options.spendMs !== undefined) await clock.delay(options.spendMs);
    },
    onError: (error) => errors.push(error),
    ...options,
  });
  const runUntil = async (ms: number): Promise<void> => {
    while (time.nowMs < ms) await time.step();
  };
  return { task, runs, errors, runUntil };
}

test("the rest begins when a run has ended", async () => {
  const { runs, runUntil } = repeated({ spendMs: 30 });
  await runUntil(300);
  expect(runs).toEqual([0, 130, 260]);
});

test("a rest that takes off what the run lasted keeps the beginnings apart by the same time", async () => {
  const { runs, runUntil } = repeated({ spendMs: 30, restMs: (spentMs) => 100 - spentMs });
  await runUntil(250);
  expect(runs).toEqual([0, 100, 200]);
});

test("a trigger ends the rest; one during a run brings one more run, however many there were", async () => {
  const { task, runs, runUntil } = repeated({ spendMs: 30 });
  await runUntil(50);
  task.trigger();
  task.trigger();
  await runUntil(60);
  task.trigger();
  task.trigger();
  await runUntil(150);
  expect(runs).toEqual([0, 51, 82]);
});

test("triggers don't bring the beginnings of two runs nearer than the least gap", async () => {
  const { task, runs, runUntil } = repeated({ leastGapMs: 10 });
  for (let ms = 1; ms <= 30; ms += 1) {
    task.trigger();
    await runUntil(ms);
  }
  expect(runs).toEqual([0, 10, 20, 30]);
});

test("a run that fails, even before it has begun to wait, is reported and does not end the task", async () => {
  let count = 0;
  const { errors, runUntil } = repeated({
    run: () => {
      count += 1;
      throw new Error(`run ${count}`);
    },
  });
  await runUntil(250);
  expect(errors).toEqual([new Error("run 1"), new Error("run 2"), new Error("run 3")]);
});

test("stop waits for the run under way, and nothing runs after it", async () => {
  const { task, runs, runUntil } = repeated({ spendMs: 30 });
  let isStopped = false;
  await runUntil(10);
  const stopped = task.stop().then(() => {
    isStopped = true;
  });
  await runUntil(20);
  expect(isStopped).toBe(false);
  await runUntil(40);
  await stopped;
  task.trigger();
  await runUntil(400);
  expect(runs).toEqual([0]);
});

test("a task is alive while a run has ended lately", async () => {
  const { task, runUntil } = repeated({ spendMs: 500 });
  await runUntil(400);
  expect([task.isAlive(300), task.isAlive(400)]).toEqual([false, true]);
});
