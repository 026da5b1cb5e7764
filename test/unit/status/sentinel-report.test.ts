// The state of a cluster that Redis Sentinel watches, from what its nodes answered.
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { renderJson } from "../../../runtime/status/json.ts";
import {
  sentinelReport,
  type NodeAnswer,
  type StackObservation,
} from "../../../runtime/status/sentinel-report.ts";
import { renderSummary } from "../../../runtime/status/summary.ts";
import { configOf } from "../../golden/render-cases.ts";

const CONFIG = configOf(
  "a1=data 0 6666 0\na2=data 0 6667 0\nm1=monitor 26379\nr1=router 6379\nrouter twemproxy\nfailover sentinel\n",
);
const up = (role: "master" | "replica" | "up", inSync = true): NodeAnswer => ({
  ...{ kind: "answered", role, inSync, runId: null },
});
const silent: NodeAnswer = { kind: "silent", why: "connect ECONNREFUSED" };

function seen(
  nodes: Readonly<Record<string, NodeAnswer>>,
  more: Partial<StackObservation> = {},
): StackObservation {
  const well = { a1: up("master"), a2: up("replica"), m1: up("up"), r1: up("up") };
  return {
    nodes: new Map(Object.entries({ ...well, ...nodes })),
    masters: ["a1"],
    problems: [],
    ...more,
  };
}

describe("sentinelReport", () => {
  test.each<[string, StackObservation, string]>([
    ["all is well", seen({}), "OK"],
    ["a replica is gone", seen({ a2: silent }), "DEGRADED NODE_DEAD a2"],
    ["a replica still copies", seen({ a2: up("replica", false) }), "DEGRADED NOT_IN_SYNC a2"],
    ["the proxy is gone", seen({ r1: silent }), "DEGRADED NODE_DEAD r1"],
    ["the master is gone", seen({ a1: silent }), "HALT NO_MASTER partition 0 NODE_DEAD a1"],
    ["the old master is back", seen({ a2: up("master") }), "DEGRADED FOREIGN_MASTER a2"],
    [
      "two masters, and Sentinel names none",
      seen({ a2: up("master") }, { masters: [undefined] }),
      "HALT NO_MASTER partition 0 FOREIGN_MASTER a1 FOREIGN_MASTER a2",
    ],
  ])("%s", (_what, observation, expected) => {
    const { state, problems } = sentinelReport(CONFIG, observation);
    const words = problems.map(({ code, subject }) => ` ${code} ${subject}`);
    expect(`${state}${words.join("")}`).toBe(expected);
  });

  test("its JSON follows the published schema, and the summary says who watches", () => {
    const report = sentinelReport(CONFIG, seen({ a2: silent }));
    const schema = JSON.parse(readFileSync("docs/status.schema.json", "utf8")) as object;
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
    validate(JSON.parse(renderJson(report)));
    expect(validate.errors ?? []).toEqual([]);
    expect(renderSummary(report, { color: false, width: 80 })).toMatch(/watched by Redis Sentinel/);
  });
});
