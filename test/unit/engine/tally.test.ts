// tally.test.ts: what is counted per command, and in which bucket.
import fc from "fast-check";
import { expect, test } from "vitest";
import { ReplyLine } from "../../../runtime/engine/dispatch/reply-line.ts";
import {
  BUCKET_BOUNDS_SECONDS,
  bucketOf,
  CommandTally,
  OTHER,
} from "../../../runtime/engine/stats/tally.ts";

const MINUS = "-".charCodeAt(0);
const PLUS = "+".charCodeAt(0);

test("a bucket takes what is not above its bound and above the one before", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 100_000, noNaN: true }), (tookMs) => {
      const expected = BUCKET_BOUNDS_SECONDS.findIndex((bound) => tookMs <= bound * 1000);
      expect(bucketOf(tookMs)).toBe(expected === -1 ? BUCKET_BOUNDS_SECONDS.length : expected);
    }),
  );
  for (const [index, bound] of BUCKET_BOUNDS_SECONDS.entries()) {
    expect(bucketOf(bound * 1000)).toBe(index);
    expect(bucketOf(bound * 1000 * 1.001)).toBe(index + 1);
  }
});

test("every command has its own count, errors and latency; names that nobody knows share one", () => {
  const tick = { nowMs: 10 };
  const tally = new CommandTally(tick);
  tally.learn(["get", "set"]);
  const [get, set] = [tally.numberOf("get"), tally.numberOf("set")];
  expect([tally.numberOf("made-up"), get === set]).toEqual([OTHER, false]);
  tick.nowMs = 10.0625;
  tally.count(get, 10, PLUS);
  tick.nowMs = 13;
  tally.count(get, 10, MINUS);
  tally.count(set, 10, PLUS);
  tally.count(OTHER, 13, MINUS);
  // More names after the first counts, as from a newer data node.
  tally.learn(["get", "new"]);
  tally.count(tally.numberOf("new"), 0, "!".charCodeAt(0));
  const figures = tally.figures();
  expect(Object.keys(figures).sort()).toEqual(["get", "new", "other", "set"]);
  expect(figures["get"]).toMatchObject({ sumMs: 3.0625, errors: 1 });
  expect(figures["get"]?.buckets.map((count, index) => (count > 0 ? index : -1))).toContain(0);
  expect(figures["get"]?.buckets[6]).toBe(1);
  expect(figures["set"]).toMatchObject({ sumMs: 3, errors: 0 });
  expect([figures["other"]?.errors, figures["new"]?.errors]).toEqual([1, 1]);
});

test("replies are counted for the command that they answer, in whatever order they come", () => {
  const tick = { nowMs: 0 };
  const tally = new CommandTally(tick);
  tally.learn(["get", "set"]);
  const line = new ReplyLine(tally);
  const numbers = Array.from({ length: 100 }, (_, at) =>
    tally.numberOf(at % 3 === 0 ? "set" : "get"),
  );
  // More than the line's first columns hold, so that they grow with places taken.
  const tags = numbers.map((number) => line.expect(1, number));
  tick.nowMs = 5;
  const [ok, error] = [Buffer.from("+OK\r\n"), Buffer.from("-ERR no\r\n")];
  for (const [at, tag] of [...tags.entries()].reverse()) {
    const reply = at % 3 === 0 ? error : ok;
    line.take(tag, reply, 0, reply.length);
  }
  const { get, set } = tally.figures();
  expect([get?.errors, get?.sumMs, set?.errors, set?.sumMs]).toEqual([0, 330, 34, 170]);
});
