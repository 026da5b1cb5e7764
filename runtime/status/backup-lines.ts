// backup-lines.ts: the backups that the alpha takes automatically, for every format of twine-status. Pure.
import type { ArchiveView, BackupView, View } from "../core/view.ts";
import type { StatusProblem } from "./problem.ts";

/** BACKUP_OVERDUE or BACKUP_FAILED, REHEARSAL_FAILED, ARCHIVE_BEHIND; empty when all is well or nothing is configured. */
export function backupProblems(view: View | null): StatusProblem[] {
  const backup = view?.backup;
  if (backup === undefined) return [];
  return [
    ...problemsOfBackup(backup),
    ...rehearsalProblems(backup),
    ...problemsOfArchive(backup.archive),
  ];
}

function rehearsalProblems({ rehearsal }: BackupView): StatusProblem[] {
  if (rehearsal?.failed === undefined) return [];
  return [
    {
      code: "REHEARSAL_FAILED",
      severity: "NOTE",
      subject: "backup",
      host: null,
      text: `the last rehearsal failed: ${rehearsal.failed}`,
      remedy: "twine-backup --rehearse: it says what is wrong",
    },
  ];
}

function problemsOfBackup(backup: BackupView): StatusProblem[] {
  const { failed, isOverdue = false } = backup;
  if (failed === undefined && !isOverdue) return [];
  const old = isOverdue ? `${newest(backup)}, longer ago than three times backup-every` : "";
  const why = failed === undefined ? "" : `the last attempt failed: ${failed}`;
  return [
    {
      code: isOverdue ? "BACKUP_OVERDUE" : "BACKUP_FAILED",
      severity: isOverdue ? "DEGRADED" : "NOTE",
      subject: "backup",
      host: null,
      text: [old, why].filter((part) => part !== "").join("; "),
      remedy: "twine-backup: it says what is wrong; twine-backup --list shows what there is",
    },
  ];
}

/** ARCHIVE_BEHIND: present writes can't be restored up to the usual moment, or not at all. */
function problemsOfArchive(archive: ArchiveView | undefined): StatusProblem[] {
  if (archive === undefined) return [];
  const { failed, noBase, isLate = false, lastCutAt, since } = archive;
  const texts = [
    ...(isLate
      ? [
          lastCutAt === null
            ? `it has recorded no moment of the whole cluster since ${timeText(since)}`
            : `its newest moment of the whole cluster is of ${timeText(lastCutAt)}`,
        ]
      : []),
    ...(noBase === undefined ? [] : [`it needs another backup: ${noBase}`]),
    ...(failed === undefined ? [] : [failed]),
  ];
  if (texts.length === 0) return [];
  return [
    {
      code: "ARCHIVE_BEHIND",
      severity: "NOTE",
      subject: "archive",
      host: null,
      text: texts.join("; "),
      remedy:
        "remove the cause that the text names; the alpha then takes the backup and continues the archive without a command",
    },
  ];
}

/** "a moment at 2026-03-01 10:00:07 UTC or later, not behind"; null: no archive is recorded. */
export function archiveText(view: View | null): string | null {
  const archive = view?.backup?.archive;
  if (archive === undefined) return null;
  const { lastCutAt, lagSeconds, lagBytes } = archive;
  const upTo = lastCutAt === null ? "no moment yet" : `a moment at ${timeText(lastCutAt)} or later`;
  const lag = lagSeconds === 0 ? "not behind" : `${lagSeconds} s and ${lagBytes} bytes behind`;
  return `${upTo}, ${lag}`;
}

/** "until 2026-03-01 10:00:07 UTC: ..."; null: the archive has no gap. */
export function archiveGapText(view: View | null): string | null {
  const { gapAt, gapWhy = "" } = view?.backup?.archive ?? {};
  return gapAt === undefined ? null : `until ${timeText(gapAt)}: ${gapWhy}`;
}

function newest({ lastAt, since }: BackupView): string {
  return lastAt === null
    ? `there has been none since ${timeText(since)}`
    : `the last good one is of ${timeText(lastAt)}`;
}

/** "2026-03-01 10:00:07 UTC, 3 h ago"; null when the view has no backups. `wallTime`: now, ISO 8601; absent: no age. */
export function lastBackupText(view: View | null, wallTime: string | undefined): string | null {
  const lastAt = view?.backup?.lastAt;
  if (lastAt === undefined) return null;
  if (lastAt === null) return "none yet";
  const ageMs = backupAgeMs(view, wallTime);
  return ageMs === null ? timeText(lastAt) : `${timeText(lastAt)}, ${ageText(ageMs)} ago`;
}

/** "2026-03-01 10:00:07 UTC"; null when backups are not rehearsed. */
export function lastRehearsalText(view: View | null): string | null {
  const rehearsal = view?.backup?.rehearsal;
  if (rehearsal === undefined) return null;
  return rehearsal.lastAt === null ? "none yet" : timeText(rehearsal.lastAt);
}

/** null without a backup, or without `wallTime`. */
export function backupAgeMs(view: View | null, wallTime: string | undefined): number | null {
  const lastAt = view?.backup?.lastAt ?? null;
  if (lastAt === null || wallTime === undefined) return null;
  const ageMs = Date.parse(wallTime) - Date.parse(lastAt);
  // The other machine's clock may be a little ahead.
  return Number.isFinite(ageMs) ? Math.max(ageMs, 0) : null;
}

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
] as const;

function ageText(ageMs: number): string {
  const [unit, unitMs] = UNITS.find(([, ms]) => ageMs >= 2 * ms) ?? (["s", 1000] as const);
  return `${Math.floor(ageMs / unitMs)} ${unit}`;
}

function timeText(time: string): string {
  return time.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, "$1 $2 UTC");
}
