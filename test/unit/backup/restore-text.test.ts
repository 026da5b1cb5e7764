import { expect, test } from "vitest";
import type { NewestWrites } from "../../../runtime/backup/restore/newest-writes.ts";
import { overwrittenText } from "../../../runtime/backup/restore/restore-text.ts";

const part = (partition: number, keys: number) => ({
  ...{ partition, keys, path: "", bytes: 2000, keysWithExpiry: 0 },
});
const READY = [
  { partition: 0, keysBefore: 5 },
  { partition: 0, keysBefore: 4 },
  { partition: 1, keysBefore: 1 },
];
const NEWEST = {
  changes: 3,
  snapshotAtMs: Date.parse("2026-11-30T18:00:00Z"),
  backup: { id: "shop-20261130T180405Z-1a2b3c", at: "2026-11-30T18:04:06.000Z", bytesMax: 1234 },
};
const NEWEST_LINES =
  "newest write: after 2026-11-30T18:00:00Z; the nodes count 3 changes since their last snapshots\n" +
  "newest backup: shop-20261130T180405Z-1a2b3c, of 2026-11-30T18:04:06.000Z; at most 1.2 kB were written since\n";
const AT = "2026-11-30T17:04:05.000Z";
const BACKUP = { id: "shop-20261130T170405Z-1a2b3c", at: AT };

test("a person who is asked reads which backup it is, of which time, and what it replaces", () => {
  const prepared = {
    partitions: [part(0, 7), part(1, 8)],
    split: undefined,
    expired: 0,
    backup: BACKUP,
  };
  const what = { cluster: "shop", partitions: 2, ready: READY, newest: NEWEST, isShifted: false };
  expect(overwrittenText({ ...what, prepared })).toBe(
    `${BACKUP.id}, of ${AT}\n` +
      "cluster shop: 6 keys of all 2 partitions will be replaced by 15 keys (4.0 kB); no partition is served meanwhile\n" +
      NEWEST_LINES,
  );
});

test("of one partition, the others are served; a moment names its backup itself", () => {
  const moment = { at: AT, backup: BACKUP.id, why: "" };
  const prepared = {
    partitions: [part(1, 8)],
    split: undefined,
    expired: 2,
    backup: BACKUP,
    moment,
  };
  const what = { cluster: "shop", partitions: 2, ready: READY, newest: NEWEST, isShifted: false };
  expect(overwrittenText({ ...what, prepared })).toBe(
    `the moment ${AT}, from ${BACKUP.id}\n` +
      "cluster shop: 1 key of partition 1 will be replaced by 8 keys (2.0 kB); the other partitions do not change, and are served meanwhile\n" +
      NEWEST_LINES +
      "2 of them have expired since: --shift-ttl keeps them\n",
  );
});

test("nothing was written, and no backup or one of another history: each is said", () => {
  const prepared = { partitions: [part(0, 7)], split: undefined, expired: 0 };
  const what = { cluster: "shop", partitions: 1, ready: READY, isShifted: false, prepared };
  const { snapshotAtMs, backup } = NEWEST;
  const lines = (newest: NewestWrites): string[] =>
    overwrittenText({ ...what, newest })
      .trimEnd()
      .split("\n")
      .slice(1);
  expect(lines({ changes: 0, snapshotAtMs, backup: undefined })).toEqual([
    "newest write: before 2026-11-30T18:00:00Z; the nodes count no change since",
    "newest backup: none was found; twine-backup takes one",
  ]);
  const other = { ...backup, bytesMax: undefined };
  expect(lines({ changes: undefined, snapshotAtMs: NaN, backup: other })).toEqual([
    `newest backup: ${backup.id}, of ${backup.at}; how much was written since is not known: the nodes have another history or other partitions`,
  ]);
});
