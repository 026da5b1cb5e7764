// What is true of the newest writes, from INFO and a manifest alone.
import { describe, expect, test } from "vitest";
import {
  newestWrites,
  nodeWrites,
  type KeptBackup,
  type NodeWrites,
} from "../../../runtime/backup/restore/newest-writes.ts";
import type { Hashing } from "../../../runtime/core/hashing.ts";

const [OLD, NEW, OTHER] = ["a", "b", "c"].map((digit) => digit.repeat(40)) as [
  string,
  string,
  string,
];
const HASHING: Hashing = {
  ...{ kind: "builtin", name: "crc32", tag: null, partitions: 2, fingerprint: null },
};
const MASTER: NodeWrites = {
  ...{ isMaster: true, offset: 1000, replicationId: NEW, replicationId2: OLD, secondOffset: 501 },
  ...{ changes: 0, snapshotAtMs: 10_000 },
};
const at = (partition: number, more: Partial<NodeWrites> = {}) => ({
  partition,
  writes: { ...MASTER, ...more },
});
const saved = (partition: number, replicationId: string, offset: number, takenAt = "T2") => ({
  ...{ partition, replicationId, offset, takenAt },
});
const backup = (...partitions: KeptBackup["partitions"]): KeptBackup => ({
  ...{ id: "shop-1", hashing: HASHING, partitions },
});

test("the figures are those of INFO, and a field that is missing is no number", () => {
  const info =
    "# Persistence\r\nrdb_changes_since_last_save:7\r\nrdb_last_save_time:1700000000\r\n# Replication\r\n" +
    `role:master\r\nmaster_replid:${NEW}\r\nmaster_replid2:${OLD}\r\nmaster_repl_offset:1000\r\nsecond_repl_offset:501\r\n`;
  expect(nodeWrites(info)).toEqual({ ...MASTER, changes: 7, snapshotAtMs: 1_700_000_000_000 });
  expect(nodeWrites("")).toMatchObject({ isMaster: false, offset: NaN, changes: NaN });
});

describe("the nodes' own counts", () => {
  test("the newest write came after the latest snapshot of a partition that has changed since", () => {
    const nodes = [at(0, { changes: 5 }), at(1, { changes: 0, snapshotAtMs: 90_000 })];
    expect(newestWrites(nodes, undefined, HASHING)).toEqual({
      changes: 5,
      snapshotAtMs: 10_000,
      backup: undefined,
    });
  });

  test("without any change, no write came after the latest snapshot", () => {
    const nodes = [at(0), at(1, { snapshotAtMs: 90_000 })];
    expect(newestWrites(nodes, undefined, HASHING)).toMatchObject({
      changes: 0,
      snapshotAtMs: 90_000,
    });
  });

  test("the master's count, else that of the replica that has most; nothing where one is missing", () => {
    const replica = at(0, { isMaster: false, changes: 99 });
    expect(newestWrites([replica, at(0, { changes: 1 })], undefined, HASHING).changes).toBe(1);
    const further = at(0, { isMaster: false, offset: 2000, changes: 2 });
    expect(newestWrites([replica, further], undefined, HASHING).changes).toBe(2);
    expect(newestWrites([at(0), at(1, { changes: NaN })], undefined, HASHING).changes).toBe(
      undefined,
    );
  });
});

describe("what was written since the newest backup", () => {
  const bytes = (kept: KeptBackup, hashing = HASHING): number | undefined =>
    newestWrites([at(0), at(1)], kept, hashing).backup?.bytesMax;

  test("is counted in bytes of all partitions, across a failover too", () => {
    expect(bytes(backup(saved(0, NEW, 900), saved(1, OLD, 500)))).toBe(600);
  });

  test("is unknown after a lost branch, another history, other partitions, or a partition without a copy", () => {
    expect(bytes(backup(saved(0, NEW, 900), saved(1, OLD, 501)))).toBeUndefined();
    expect(bytes(backup(saved(0, NEW, 900), saved(1, OTHER, 1)))).toBeUndefined();
    expect(bytes(backup(saved(0, NEW, 900)))).toBeUndefined();
    expect(
      bytes(backup(saved(0, NEW, 900), saved(1, NEW, 900)), { ...HASHING, partitions: 3 }),
    ).toBeUndefined();
  });

  test("counts from the cut, whose moment it names, else from the oldest RDB's", () => {
    const whole = backup(saved(0, OLD, 1, "T3"), saved(1, OLD, 1));
    expect(newestWrites([at(0), at(1)], whole, HASHING).backup?.at).toBe("T2");
    const mark = { master: "a1", replicationId: NEW, offset: 990 };
    const cut = { at: "T9", pausedMs: 1, marks: [mark, mark] };
    expect(newestWrites([at(0), at(1)], { ...whole, cut }, HASHING).backup).toEqual({
      ...{ id: "shop-1", at: "T9", bytesMax: 20 },
    });
  });
});
