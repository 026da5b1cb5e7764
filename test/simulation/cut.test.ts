// cut.test.ts: consistent cuts while monitors, masters and the network fail: each one that an alpha gives out is of one moment.
import { expect, test } from "vitest";
import type { Scenario } from "./scenario.ts";
import { simulate } from "./simulate.ts";

const SCENARIO: Partial<Scenario> = {
  partitions: 2,
  nodesPerPartition: 3,
  statusNodes: 3,
  monitors: 3,
  routers: 2,
  ackReplicas: 1,
  persistence: "aof",
  backlogSize: 10_000,
  writeEveryMs: 10,
  chaosMs: 4000,
  faultEveryMs: 60,
  // Most of what befalls is one more question.
  kinds: [
    ...Array.from({ length: 12 }, () => "cut-asked" as const),
    "cut-slow",
    "cut-hangs",
    "cut-unpaused-by-hand",
    "alpha-kill",
    "alpha-pause",
    "master-kill",
    "master-pause",
    "handover",
    "cut-one-way",
    "monitor-jump",
  ],
};

test("20 seeds of crashed alphas, failovers and broken networks give no cut that is torn", async () => {
  let cuts = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const outcome = await simulate({ seed, scenario: SCENARIO });
    expect(outcome.violations, outcome.trace.slice(-40).join("\n")).toEqual([]);
    cuts += outcome.cuts;
  }
  expect(cuts).toBeGreaterThan(20);
}, 300_000);
