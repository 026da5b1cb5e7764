import fc from "fast-check";
import { expect, test } from "vitest";
import {
  ballotText,
  compareBallots,
  higherBallot,
  parseBallot,
} from "../../../runtime/register/ballot.ts";

const ballots = fc.record({
  count: fc.nat({ max: 2 ** 31 }),
  proposer: fc.stringMatching(/^[A-Za-z0-9._-]{1,8}$/),
});

test("a ballot survives its text", () => {
  fc.assert(
    fc.property(ballots, (ballot) => {
      expect(parseBallot(ballotText(ballot))).toEqual(ballot);
    }),
  );
});

test("ballots are in one order: by number first, then by name, and none is below null", () => {
  fc.assert(
    fc.property(ballots, ballots, (a, b) => {
      expect(Math.sign(compareBallots(a, b))).toBe(-Math.sign(compareBallots(b, a)));
      if (a.count < b.count) expect(compareBallots(a, b)).toBeLessThan(0);
      expect(compareBallots(null, a)).toBeLessThan(0);
      expect(higherBallot(null, a)).toBe(a);
    }),
  );
  expect(compareBallots({ count: 9, proposer: "m2" }, { count: 10, proposer: "m1" })).toBeLessThan(
    0,
  );
  expect(compareBallots({ count: 9, proposer: "B" }, { count: 9, proposer: "a" })).toBeLessThan(0);
  expect(compareBallots(null, null)).toBe(0);
});

test("a text that is no ballot is a broken invariant", () => {
  expect(() => parseBallot("m1:9")).toThrow(/is a ballot/);
});
