import { expect, test } from "vitest";
import { seededRandom } from "../support/seeded-random.ts";
import { Scheduler } from "./scheduler.ts";
import { SimProcess } from "./sim-process.ts";

function processOf(scheduler: Scheduler): SimProcess {
  const options = { name: "a1", host: "h1", scheduler, random: seededRandom(1), clockRate: 1 };
  const process = new SimProcess(options);
  process.start();
  return process;
}

test("what reaches a process while it catches up after a pause waits behind what had waited before", async () => {
  const scheduler = new Scheduler();
  const process = processOf(scheduler);
  const { life } = process;
  const done: number[] = [];
  const arrive = (number: number): void => {
    process.run(life, () => {
      done.push(number);
    });
  };
  process.pause();
  for (let number = 0; number < 10; number++) arrive(number);
  process.resume();
  // One falls between two of those that waited; the other comes when all is done.
  scheduler.after(0.1, () => {
    expect(done.length).toBeLessThan(10);
    arrive(10);
  });
  scheduler.after(5, () => {
    arrive(11);
    expect(done).toHaveLength(12);
  });
  await scheduler.run(() => false, 10);
  expect(done).toEqual(Array.from({ length: 12 }, (_, index) => index));
});

test("a process that is paused again while it catches up goes on where it stopped", async () => {
  const scheduler = new Scheduler();
  const process = processOf(scheduler);
  const { life } = process;
  const done: number[] = [];
  process.pause();
  for (let number = 0; number < 4; number++) {
    process.run(life, () => {
      done.push(number);
      if (number === 1) process.pause();
    });
  }
  process.resume();
  await scheduler.run(() => false, 10);
  expect(done).toEqual([0, 1]);
  process.resume();
  await scheduler.run(() => false, 20);
  expect(done).toEqual([0, 1, 2, 3]);
});
