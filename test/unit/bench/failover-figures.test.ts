import { describe, expect, test } from "vitest";
import { masterOfSlot, parseClusterNodes } from "../../../bench/failover/cluster-nodes.ts";
import { longestGap, median, summarize, type Trial } from "../../../bench/failover/figures.ts";
import { redisLogSince } from "../../../bench/failover/redis-log.ts";

function trial(more: Partial<Trial>): Trial {
  return {
    contender: "Twine",
    kind: "kill",
    index: 0,
    gapMs: 100,
    batchGapMs: 100,
    elsewhereGapMs: null,
    acknowledged: 10,
    lost: 0,
    errors: {},
    healMs: 1,
    timeline: [],
    ...more,
  };
}

describe("how long nothing was acknowledged", () => {
  test("the gap is from the last acknowledged write before the kill to the first after it", () => {
    expect(longestGap([0, 5, 10, 310, 315], 12)).toBe(300);
  });

  test("a write that was on its way when the kill came does not make the gap short", () => {
    expect(longestGap([0, 5, 10, 13, 313, 318], 12)).toBe(300);
  });

  test("a gap that began before the kill counts whole, one that ended before it does not", () => {
    expect(longestGap([0, 900, 1000, 1600, 1605], 1500)).toBe(600);
  });

  test("nothing acknowledged after the kill is no number", () => {
    expect(longestGap([0, 5, 10], 12)).toBeUndefined();
    expect(longestGap([], 12)).toBeUndefined();
  });
});

describe("rows", () => {
  test("kinds and contenders keep their order, and losses add up", () => {
    const rows = summarize([
      trial({ gapMs: 100, lost: 3 }),
      trial({ contender: "Sentinel", gapMs: 2000, elsewhereGapMs: null }),
      trial({ gapMs: 300, elsewhereGapMs: 7 }),
      trial({ gapMs: 200, lost: 5, elsewhereGapMs: 9 }),
    ]);
    expect(rows).toMatchObject([
      { contender: "Twine", kills: 3, medianMs: 200, worstMs: 300, elsewhereWorstMs: 9 },
      { contender: "Sentinel", kills: 1, medianMs: 2000, elsewhereWorstMs: null },
    ]);
    expect(rows[0]).toMatchObject({ lost: 8, lostWorst: 5, killsWithLoss: 2, never: 0 });
  });

  test("a kill after which nothing was acknowledged is the worst there is", () => {
    const [row] = summarize([trial({ gapMs: null }), trial({}), trial({})]);
    expect(row).toMatchObject({ worstMs: Number.POSITIVE_INFINITY, medianMs: 100, never: 1 });
  });

  test("the median of none is no number", () => {
    expect(median([])).toBeNaN();
  });
});

describe("what the peers say", () => {
  const nodes = [
    "07c37d 127.0.0.1:30004@31004 slave e7d1ee 0 1426238317239 4 connected",
    "67ed2d 127.0.0.1:30002@31002,db2 master - 0 1426238316232 2 connected 5461-10922 [93-<-07c37d]",
    "e7d1ee 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5459 5460",
    "",
  ].join("\n");

  test("CLUSTER NODES names the owner of a slot", () => {
    expect(masterOfSlot(nodes, 5460)).toMatchObject({ id: "e7d1ee", port: 30001, epoch: 1 });
    expect(masterOfSlot(nodes, 10_922)).toMatchObject({ port: 30002 });
    expect(masterOfSlot(nodes, 16_000)).toBeUndefined();
    expect(parseClusterNodes(nodes)[0]).toMatchObject({ master: "e7d1ee", slots: [] });
  });

  test("a log's lines since the kill carry the time since then", () => {
    const log = [
      "12:X 21 Nov 2026 05:00:00.100 # +sdown master m 127.0.0.1 1",
      "12:X 21 Nov 2026 05:00:01.350 * +switch-master m",
      "no line of the log",
    ].join("\n");
    expect(redisLogSince(log, new Date("2026-11-21T05:00:01.000"))).toEqual([
      "+350 +switch-master m",
    ]);
  });
});
