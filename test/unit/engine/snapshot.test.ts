// snapshot.test.ts: figures of several processes as one.
import { expect, test } from "vitest";
import { snapshotOf } from "../../../runtime/engine/stats/stats-collect.ts";
import {
  addSnapshots,
  countsAlone,
  NO_FIGURES,
  type RouterSnapshot,
} from "../../../runtime/engine/stats/snapshot.ts";
import { RouterStats } from "../../../runtime/engine/stats/counters.ts";

const LANE = { node: "a1", partition: 0, inQueueBytes: 60, outQueueBytes: 30 };

/** A process that has sent `requests` to a1, has two on the wire there, and holds one for partition 1. */
function processOf(requests: number, ejects: number): RouterSnapshot {
  const tick = { nowMs: 0 };
  const stats = new RouterStats(tick);
  stats.tally.learn(["get", "__proto__"]);
  for (let count = 0; count < requests; count++)
    stats.tally.count(stats.tally.numberOf("get"), 0, 43);
  const a1 = stats.node("a1", 0);
  Object.assign(a1, { requests, lost: 1, connections: 1, opened: 2, ejects, ejectedAtUs: ejects });
  return snapshotOf({
    stats,
    queues: [
      { ...LANE, inQueue: 1, outQueue: 2, held: 0 },
      { ...LANE, node: undefined, partition: 1, inQueue: 1, outQueue: 0, held: 1 },
    ],
    view: undefined,
    clientCount: 4,
    bufferedBytes: 60,
    isConfirmed: true,
  });
}

test("counts and levels of two processes add up; a view's changes, which both saw, don't", () => {
  const sum = addSnapshots(processOf(10, 3), processOf(5, 1));
  expect(sum.levels).toMatchObject({ clients: 8, processes: 2, confirmed: 2, bufferedBytes: 120 });
  expect(sum.nodes["a1"]).toMatchObject({
    counts: { requests: 15, responses: 15 - 2 - 4, opened: 4 },
    queues: { inQueue: 2, outQueue: 4, held: 0 },
    ...{ connections: 2, ejects: 3, ejectedAtUs: 3 },
  });
  expect(sum.partitions).toMatchObject({ 0: { outQueue: 4 }, 1: { inQueue: 2, held: 2 } });
  expect(sum.commands["get"]?.buckets[0]).toBe(15);
  expect(addSnapshots(NO_FIGURES, sum)).toEqual(sum);
});

test("of a process that is gone its counts stay, and nothing of what it held", () => {
  const gone = countsAlone(processOf(10, 3));
  expect(gone.nodes["a1"]).toMatchObject({ counts: { requests: 10 }, connections: 0 });
  expect(gone.nodes["a1"]?.queues).toMatchObject({ inQueue: 0, outQueue: 0 });
  expect([gone.levels.clients, gone.partitions]).toEqual([0, {}]);
  expect(gone.commands).toEqual(processOf(10, 3).commands);
});

test("a node may bear any name that twine.conf allows", () => {
  const stats = new RouterStats({ nowMs: 0 });
  stats.node("__proto__", 0).requests = 1;
  const facts = { view: undefined, clientCount: 0, bufferedBytes: 0, isConfirmed: true };
  const one = snapshotOf({ stats, queues: [], ...facts });
  const sum = addSnapshots(one, structuredClone(one));
  expect(Object.entries(sum.nodes).map(([name, { counts }]) => [name, counts.requests])).toEqual([
    ["__proto__", 2],
  ]);
});
