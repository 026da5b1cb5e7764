import { expect, test } from "vitest";
import type { View } from "../../../runtime/core/view.ts";
import { troublesOf } from "../../../runtime/alert/troubles.ts";
import {
  archiveGapText,
  archiveText,
  backupAgeMs,
  backupProblems,
  lastBackupText,
  lastRehearsalText,
} from "../../../runtime/status/backup-lines.ts";

const since = "2026-03-01T08:00:00.000Z";
const lastAt = "2026-03-01T10:00:07.250Z";
const viewWith = (backup: View["backup"]): View =>
  ({ partitions: [], nodes: [], ...(backup === undefined ? {} : { backup }) }) as unknown as View;

test.each([
  ["2026-03-01T10:00:40.000Z", "2026-03-01 10:00:07 UTC, 32 s ago"],
  ["2026-03-01T10:03:00.000Z", "2026-03-01 10:00:07 UTC, 2 min ago"],
  ["2026-03-01T13:30:00.000Z", "2026-03-01 10:00:07 UTC, 3 h ago"],
  ["2026-03-05T10:30:00.000Z", "2026-03-01 10:00:07 UTC, 4 d ago"],
  ["2026-03-01T09:00:00.000Z", "2026-03-01 10:00:07 UTC, 0 s ago"],
  [undefined, "2026-03-01 10:00:07 UTC"],
])("at %s the last backup is shown as %s", (now, shown) => {
  expect(lastBackupText(viewWith({ lastAt, since }), now)).toBe(shown);
});

test("a rehearsal that fails is a note of its own and is mailed", () => {
  const good = viewWith({ lastAt, since, rehearsal: { lastAt } });
  expect([backupProblems(good), troublesOf(good)]).toEqual([[], []]);
  expect(lastRehearsalText(good)).toBe("2026-03-01 10:00:07 UTC");
  const bad = viewWith({ lastAt, since, rehearsal: { lastAt: null, failed: "no redis-server" } });
  expect(lastRehearsalText(bad)).toBe("none yet");
  expect(backupProblems(bad)).toMatchObject([
    {
      code: "REHEARSAL_FAILED",
      severity: "NOTE",
      text: "the last rehearsal failed: no redis-server",
    },
  ]);
  expect(troublesOf(bad)).toMatchObject([{ id: "rehearsal", kind: "backup" }]);
  expect(lastRehearsalText(viewWith({ lastAt, since }))).toBeNull();
});

test("without a backup there is no age; without a backup-dir there is no line", () => {
  expect(lastBackupText(viewWith({ lastAt: null, since }), lastAt)).toBe("none yet");
  expect(backupAgeMs(viewWith({ lastAt: null, since }), lastAt)).toBeNull();
  expect(lastBackupText(viewWith(undefined), lastAt)).toBeNull();
  expect(lastBackupText(null, lastAt)).toBeNull();
});

test("what fails is a note, what is overdue makes the cluster DEGRADED; both are mailed", () => {
  expect(backupProblems(viewWith({ lastAt, since }))).toEqual([]);
  expect(troublesOf(viewWith({ lastAt, since }))).toEqual([]);
  const failing = viewWith({ lastAt, since, failed: "backups: no space" });
  expect(backupProblems(failing)).toMatchObject([
    {
      code: "BACKUP_FAILED",
      severity: "NOTE",
      text: "the last attempt failed: backups: no space",
    },
  ]);
  expect(troublesOf(failing)).toMatchObject([
    { kind: "backup", what: "the backup fails: backups: no space" },
  ]);
  const overdue = viewWith({ lastAt: null, since, isOverdue: true });
  expect(backupProblems(overdue)).toMatchObject([
    {
      code: "BACKUP_OVERDUE",
      severity: "DEGRADED",
      text: "there has been none since 2026-03-01 08:00:00 UTC, longer ago than three times backup-every",
    },
  ]);
  expect(troublesOf(overdue)).toHaveLength(1);
});

test("the archive's newest moment, its lag and its gap are lines of their own; what it lacks is a note", () => {
  const good = { since, lastCutAt: lastAt, lagSeconds: 0, lagBytes: 0 };
  expect(archiveText(viewWith({ lastAt, since }))).toBeNull();
  const shown = viewWith({ lastAt, since, archive: good });
  expect(archiveText(shown)).toBe("a moment at 2026-03-01 10:00:07 UTC or later, not behind");
  expect([archiveGapText(shown), backupProblems(shown)]).toEqual([null, []]);
  const bad = { ...good, lastCutAt: null, lagSeconds: 30, lagBytes: 5000, isLate: true };
  const gap = { gapAt: lastAt, gapWhy: "a1: it has dropped the writes", noBase: "backups: none" };
  const failing = viewWith({ lastAt, since, archive: { ...bad, ...gap, failed: "other: full" } });
  expect(archiveText(failing)).toBe("no moment yet, 30 s and 5000 bytes behind");
  expect(archiveGapText(failing)).toBe(
    "until 2026-03-01 10:00:07 UTC: a1: it has dropped the writes",
  );
  expect(backupProblems(failing)).toMatchObject([
    {
      code: "ARCHIVE_BEHIND",
      severity: "NOTE",
      text: "it has recorded no moment of the whole cluster since 2026-03-01 08:00:00 UTC; it needs another backup: backups: none; other: full",
    },
  ]);
});
