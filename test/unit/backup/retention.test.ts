import fc from "fast-check";
import { expect, test } from "vitest";
import { expiredOf } from "../../../runtime/backup/retention.ts";

const at = (iso: string) => ({ id: iso, startedAtMs: Date.parse(iso) });
const idsOf = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id);

test("the newest N are kept, in whatever order they come", () => {
  const backups = ["2026-01-03T00:00Z", "2026-01-01T00:00Z", "2026-01-02T00:00Z"].map(at);
  expect(idsOf(expiredOf(backups, { kind: "last", count: 2 }))).toEqual(["2026-01-01T00:00Z"]);
  expect(expiredOf(backups, { kind: "last", count: 5 })).toEqual([]);
});

test("of two of one second the one that was just taken is the newest", () => {
  const one = { id: "a", startedAtMs: 1000 };
  const other = { id: "b", startedAtMs: 1000 };
  const rule = { kind: "last", count: 1 } as const;
  expect(expiredOf([one, other], rule, "a")).toEqual([other]);
  expect(expiredOf([one, other], rule, "b")).toEqual([one]);
});

test("of each hour, day and week that has a backup the newest is kept", () => {
  const backups = [
    "2026-01-05T10:00Z", // Monday: the newest of its week
    "2026-01-04T23:00Z", // Sunday: the newest of the week before, and of its day
    "2026-01-04T22:50Z",
    "2026-01-04T22:10Z",
    "2026-01-03T12:00Z",
    "2025-12-20T12:00Z",
  ].map(at);
  const rule = { kind: "periods", hours: 3, days: 2, weeks: 3 } as const;
  // 10:00, 23:00 and 22:50 are the last three hours; the days are the 5th and the 4th; the weeks begin on 5 January,
  // 29 December and 15 December.
  expect(idsOf(expiredOf(backups, rule))).toEqual(["2026-01-03T12:00Z", "2026-01-04T22:10Z"]);
});

test("with periods, all of the hour before the newest are kept: one is taken right after each restore", () => {
  const backups = ["10:50", "10:20", "09:55", "09:50", "09:30"].map((time) =>
    at(`2026-01-05T${time}Z`),
  );
  const rule = { kind: "periods", hours: 24, days: 0, weeks: 0 } as const;
  // 09:55 is the newest of its hour as well; at 09:50 the hour begins.
  expect(idsOf(expiredOf(backups, rule))).toEqual(["2026-01-05T09:30Z", "2026-01-05T09:50Z"]);
});

test("whatever the rule, the newest stays, and asking again removes nothing more", () => {
  const backup = fc.integer({ min: 0, max: 10_000_000 }).map((minute) => ({
    id: String(minute),
    startedAtMs: minute * 60_000,
  }));
  const rule = fc.oneof(
    fc.record({ kind: fc.constant("last" as const), count: fc.nat(5) }),
    fc.record({
      kind: fc.constant("periods" as const),
      hours: fc.nat(4),
      days: fc.nat(4),
      weeks: fc.nat(4),
    }),
  );
  fc.assert(
    fc.property(fc.array(backup, { minLength: 1 }), rule, (backups, keep) => {
      const gone = new Set(expiredOf(backups, keep));
      const left = backups.filter((one) => !gone.has(one));
      const newestMs = Math.max(...backups.map(({ startedAtMs }) => startedAtMs));
      expect(left.some(({ startedAtMs }) => startedAtMs === newestMs)).toBe(true);
      expect(expiredOf(left, keep)).toEqual([]);
    }),
  );
});
