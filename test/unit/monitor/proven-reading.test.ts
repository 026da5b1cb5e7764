// proven-reading.test.ts: a status page whose first reading came too late does not say HALT.
import { expect, test } from "vitest";
import { provenReading } from "../../../runtime/monitor/proven-reading.ts";
import type { RegisterReading } from "../../../runtime/register/register.ts";

function reading(...answered: string[]): RegisterReading {
  return { value: null, confirmations: 0, ballot: null, answered, silent: new Map(), emptied: [] };
}

/** Hands out the readings in their order, and counts them. */
function reader(...readings: RegisterReading[]): {
  read: () => Promise<RegisterReading>;
  count: () => number;
} {
  let count = 0;
  const read = (): Promise<RegisterReading> => {
    const next = readings[Math.min(count, readings.length - 1)];
    count++;
    return Promise.resolve(next ?? reading());
  };
  return { read, count: () => count };
}

test("a reading that a majority answered is the only one", async () => {
  const { read, count } = reader(reading("s1", "s3"));
  expect((await provenReading(read, 3)).answered).toEqual(["s1", "s3"]);
  expect(count()).toBe(1);
});

test("one that came too late for all answers is repeated, and the next one counts", async () => {
  const { read, count } = reader(reading(), reading("s1", "s2", "s3"));
  expect((await provenReading(read, 3)).answered).toHaveLength(3);
  expect(count()).toBe(2);
});

test("status nodes that are really silent are asked a few times, and then that is what the page says", async () => {
  const { read, count } = reader(reading("s2"));
  expect((await provenReading(read, 3)).answered).toEqual(["s2"]);
  expect(count()).toBe(3);
});
