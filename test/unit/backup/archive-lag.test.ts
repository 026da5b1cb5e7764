import { expect, test } from "vitest";
import { ArchiveLag } from "../../../runtime/backup/archive/archive-lag.ts";

const at = (offset: number, replicationId = "a") => ({ replicationId, offset });

test("the lag is since when the oldest offset is missing, and how many bytes of the newest are", () => {
  const lag = new ArchiveLag();
  lag.add({ atMs: 1000, marks: [at(10), at(100)] });
  expect(lag.at([at(10), at(100)], 1500)).toEqual({ ms: 0, bytes: 0 });
  lag.add({ atMs: 2000, marks: [at(20), at(100)] });
  lag.add({ atMs: 3000, marks: [at(30), at(150)] });
  expect(lag.at([at(15), at(100)], 3500)).toEqual({ ms: 1500, bytes: 65 });
  expect(lag.at([at(25), at(150)], 3500)).toEqual({ ms: 500, bytes: 5 });
  expect(lag.at([at(30), at(150)], 3500)).toEqual({ ms: 0, bytes: 0 });
});

test("a partition with another master is measured by that one", () => {
  const lag = new ArchiveLag();
  lag.add({ atMs: 1000, marks: [at(10)] });
  lag.add({ atMs: 2000, marks: [at(12, "b")] });
  // What the old master had last is in no history any more.
  expect(lag.at([at(12, "b")], 9000)).toEqual({ ms: 0, bytes: 0 });
  lag.add({ atMs: 3000, marks: [at(20, "c")] });
  expect(lag.at([at(12, "b")], 9000).ms).toBe(6000);
});

test("a master that does not say is left out; one whose offset of some time ago is missing is silent", () => {
  const lag = new ArchiveLag();
  lag.add({ atMs: 1000, marks: [undefined, at(100)] });
  lag.add({ atMs: 7000, marks: [at(5), at(200)] });
  expect(lag.silent([at(0), at(50)], 7100, 5000)).toEqual([1]);
  expect(lag.silent([at(0), at(100)], 7100, 5000)).toEqual([]);
});

test("an outage of any length takes bounded memory, and its beginning is not forgotten", () => {
  const lag = new ArchiveLag();
  for (let second = 0; second < 5000; second++) {
    lag.add({ atMs: second * 1000, marks: [at(100 + second)] });
  }
  expect(lag.at([at(99)], 5_000_000)).toEqual({ ms: 5_000_000, bytes: 5000 });
  expect(lag.at([at(9999)], 5_000_000)).toEqual({ ms: 0, bytes: 0 });
});
