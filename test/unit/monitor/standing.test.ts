import { expect, test } from "vitest";
import type { Reach, Sight } from "../../../runtime/monitor/decide/observations.ts";
import { isCutOff, suspectsOf, toldSuspectsOf } from "../../../runtime/monitor/decide/standing.ts";

function sights(reaches: Readonly<Record<string, Reach>>): ReadonlyMap<string, Sight> {
  return new Map(
    Object.entries(reaches).map(([name, reach]) => [name, { reach, info: null, askedAtMs: 0 }]),
  );
}

test("a monitor tells the others who is silent or refuses", () => {
  const seen = sights({ a1: "silent", a2: "up", a3: "refused", b1: "unknown" });
  expect(isCutOff(seen)).toBe(false);
  expect(toldSuspectsOf(seen)).toEqual(["a1", "a3"]);
});

test("one that is cut off itself tells only who refuses: a refusal is an answer, silence is its own", () => {
  const seen = sights({ a1: "silent", a2: "silent", a3: "refused" });
  expect(isCutOff(seen)).toBe(true);
  expect(suspectsOf(seen)).toEqual(["a1", "a2", "a3"]);
  expect(toldSuspectsOf(seen)).toEqual(["a3"]);
});
