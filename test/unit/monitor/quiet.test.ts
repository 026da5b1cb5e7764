import { expect, test } from "vitest";
import { createQuiet } from "../../../runtime/monitor/quiet.ts";
import { ManualTime } from "../../support/manual-time.ts";

test("whoever can wait goes on when it is over, or after its longest time, and at once where there is none", async () => {
  const time = new ManualTime();
  const quiet = createQuiet(time.clockOf("m1"), () => 100);
  expect(quiet.over()).toBeUndefined();
  quiet.begin();
  const done: string[] = [];
  const first = quiet.over()?.then(() => done.push("first"));
  await Promise.resolve();
  expect(done).toEqual([]);
  quiet.end();
  await first;
  quiet.begin();
  const second = quiet.over()?.then(() => done.push("second"));
  for (let ms = 0; ms < 100; ms++) await time.step();
  await second;
  expect(done).toEqual(["first", "second"]);
  expect(quiet.over()).toBeUndefined();
});
