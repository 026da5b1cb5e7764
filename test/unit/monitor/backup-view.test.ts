import { expect, test } from "vitest";
import type { View } from "../../../runtime/core/view.ts";
import {
  withBackup,
  type BackupOutcome,
  type RehearsalOutcome,
} from "../../../runtime/monitor/decide/views/backup-view.ts";
import { servedScene } from "./situations.ts";

const HOURLY = { backupDirs: ["backups"], backupEveryMs: 3_600_000 };
const at = (hour: number): string => new Date(Date.UTC(2026, 0, 1, hour)).toISOString();
const good = (lastAt: string | null): BackupOutcome => ({ lastAt, failed: "" });

function seen(before: View, outcome: BackupOutcome | undefined, hour: number, rule = HOURLY) {
  return withBackup(before, outcome, rule, at(hour));
}
const VIEW = servedScene().view;

test("nothing is shown without a backup-dir, and before the first alpha has looked", () => {
  expect(seen(VIEW, undefined, 1)).toBe(VIEW);
  const shown = seen(VIEW, good(at(0)), 1);
  expect(shown.backup).toEqual({ lastAt: at(0), since: at(1) });
  expect(seen(shown, undefined, 2, { ...HOURLY, backupDirs: [] }).backup).toBeUndefined();
});

test("the same again is the same view; a new alpha leaves what its predecessor knew", () => {
  const shown = seen(VIEW, { lastAt: at(0), failed: "no space" }, 1);
  expect(seen(shown, { lastAt: at(0), failed: "no space" }, 2)).toBe(shown);
  expect(seen(shown, undefined, 2)).toBe(shown);
  expect(seen(shown, good(at(2)), 2).backup).toEqual({ lastAt: at(2), since: at(1) });
});

test("a rehearsal is shown where it is asked for; a failure stays until an attempt does better, also under the next alpha", () => {
  const weekly = { ...HOURLY, backupRehearseMs: 7 * 86_400_000 };
  const [first, second] = ["2026-03-01T08:00:00Z", "2026-03-08T08:00:00Z"];
  const taken = { lastAt: second, failed: "" };
  const shown = (view: View, rehearsal?: RehearsalOutcome): View =>
    withBackup(
      view,
      { ...taken, ...(rehearsal === undefined ? {} : { rehearsal }) },
      weekly,
      second,
    );
  const none = shown(VIEW);
  expect(none.backup?.rehearsal).toEqual({ lastAt: null });
  const failing = shown(none, { lastAt: first, failed: "no memory" });
  expect(failing.backup?.rehearsal).toEqual({ lastAt: first, failed: "no memory" });
  const nextAlpha = shown(failing, { lastAt: first, failed: null });
  expect(nextAlpha.backup?.rehearsal).toEqual({ lastAt: first, failed: "no memory" });
  expect(shown(nextAlpha, { lastAt: second, failed: null }).backup?.rehearsal).toEqual({
    lastAt: second,
  });
  expect(shown(nextAlpha, { lastAt: first, failed: "" }).backup?.rehearsal).toEqual({
    lastAt: first,
  });
  expect(withBackup(failing, taken, HOURLY, second).backup?.rehearsal).toBeUndefined();
});

test("overdue is older than three times backup-every, counted from the first look while there is none", () => {
  const overdue = (view: View): boolean => view.backup?.isOverdue === true;
  expect(overdue(seen(VIEW, good(at(0)), 3))).toBe(false);
  expect(overdue(seen(VIEW, good(at(0)), 4))).toBe(true);
  const none = seen(VIEW, good(null), 1);
  expect(overdue(seen(none, good(null), 4))).toBe(false);
  expect(overdue(seen(none, good(null), 5))).toBe(true);
  // An alpha whose folder is its own begins to count anew.
  const known = seen(VIEW, good(at(3)), 4);
  expect(overdue(seen(known, good(null), 5))).toBe(false);
  // Seconds are no delay: a backup takes its time.
  const often = { ...HOURLY, backupEveryMs: 1000 };
  expect(overdue(withBackup(VIEW, good(at(0)), often, "2026-01-01T00:00:59.000Z"))).toBe(false);
  expect(overdue(withBackup(VIEW, good(at(0)), often, "2026-01-01T00:01:01.000Z"))).toBe(true);
});
