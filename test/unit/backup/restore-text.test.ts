import { expect, test } from "vitest";
import { overwrittenText } from "../../../runtime/backup/restore/restore-text.ts";

const part = (partition: number, keys: number) => ({
  ...{ partition, keys, path: "", bytes: 2000, keysWithExpiry: 0 },
});
const READY = [
  { partition: 0, keysBefore: 5 },
  { partition: 0, keysBefore: 4 },
  { partition: 1, keysBefore: 1 },
];
const AT = "2026-11-30T17:04:05.000Z";
const BACKUP = { id: "shop-20261130T170405Z-1a2b3c", at: AT };

test("a person who is asked reads which backup it is, of which time, and what it replaces", () => {
  const prepared = {
    partitions: [part(0, 7), part(1, 8)],
    split: undefined,
    expired: 0,
    backup: BACKUP,
  };
  const what = { cluster: "shop", partitions: 2, ready: READY, isShifted: false };
  expect(overwrittenText({ ...what, prepared })).toBe(
    `${BACKUP.id}, of ${AT}\n` +
      "cluster shop: 6 keys of all 2 partitions will be replaced by 15 keys (4.0 kB); no partition is served meanwhile\n",
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
  const what = { cluster: "shop", partitions: 2, ready: READY, isShifted: false };
  expect(overwrittenText({ ...what, prepared })).toBe(
    `the moment ${AT}, from ${BACKUP.id}\n` +
      "cluster shop: 1 key of partition 1 will be replaced by 8 keys (2.0 kB); the other partitions do not change, and are served meanwhile\n" +
      "2 of them have expired since: --shift-ttl keeps them\n",
  );
});
