import { expect, test } from "vitest";
import type { Reach, NodeObservation } from "../../../runtime/monitor/decide/nodes/observations.ts";
import { isCutOff, suspectsOf } from "../../../runtime/monitor/decide/nodes/node-health.ts";

function nodeObservations(
  reaches: Readonly<Record<string, Reach>>,
): ReadonlyMap<string, NodeObservation> {
  return new Map(
    Object.entries(reaches).map(([name, reach]) => [name, { reach, info: null, askedAtMs: 0 }]),
  );
}

test("a monitor tells the others who is silent or refuses", () => {
  const seen = nodeObservations({ a1: "silent", a2: "up", a3: "refused", b1: "unknown" });
  expect(isCutOff(seen)).toBe(false);
  expect(suspectsOf(seen)).toEqual(["a1", "a3"]);
});

test("most of several nodes silent is being cut off; refusals don't count", () => {
  expect(isCutOff(nodeObservations({ a1: "silent", a2: "silent", a3: "refused" }))).toBe(true);
  expect(isCutOff(nodeObservations({ a1: "silent", a2: "refused", a3: "refused" }))).toBe(false);
});
