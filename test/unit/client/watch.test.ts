// watch.test.ts: when a transaction that a WATCH guards may be written.
import { expect, test } from "vitest";
import { WatchPeriod } from "../../../runtime/client/isolation/watch.ts";

test("a guarded transaction is written once, and never after its connection was lost", () => {
  const refused = new WatchPeriod();
  refused.begin();
  // A node that refuses it has forgotten what it watched.
  expect([refused.spend(), refused.spend()]).toEqual([true, false]);
  const lost = new WatchPeriod();
  lost.begin();
  lost.lose();
  expect(lost.spend()).toBe(false);
});

test("a connection that was lost before anything was watched on it takes nothing away", () => {
  const watch = new WatchPeriod();
  watch.lose();
  watch.begin();
  expect([watch.isBegun, watch.spend()]).toEqual([true, true]);
});
