// backup-view.ts: the part of the view about the backups that the alpha takes automatically. Pure.
import { without } from "../../../core/without.ts";
import type { Settings } from "../../../core/cluster.ts";
import type { ArchiveState } from "../../../core/archive-state.ts";
import { archiveView, type ArchiveRule } from "./archive-view.ts";
import type { BackupView, RehearsalView, View } from "../../../core/view.ts";

/** The backups that this alpha found in the backup-dirs, and the result of its last attempt. */
export interface BackupOutcome {
  /** When the newest listed backup was begun, ISO 8601; null: there is none. */
  readonly lastAt: string | null;
  /** Why the last attempt failed, or which backup-dir fails; empty: no failure. */
  readonly failed: string;
  /** The archiver's report; absent: this alpha runs no archiver. */
  readonly archive?: ArchiveState | undefined;
  /** Absent: this alpha has not looked for rehearsals yet. */
  readonly rehearsal?: RehearsalOutcome;
}

export interface RehearsalOutcome {
  /** When a rehearsal last succeeded, ISO 8601; null: never. */
  readonly lastAt: string | null;
  /** Why the last attempt failed, empty when it succeeded; null: this alpha has made none. */
  readonly failed: string | null;
}

/** Overdue: older than this many times backup-every, and than a minute, because a large backup takes long. */
const OVERDUE_INTERVALS = 3;
const OVERDUE_MS_MIN = 60_000;

type BackupSettings = Pick<Settings, "backupDirs" | "backupEveryMs" | "backupRehearseMs">;

/** `view` with the present state. Until this alpha has looked, its predecessor's result stays. */
export function withBackup(
  view: View,
  backup: BackupOutcome | undefined,
  rule: BackupSettings & ArchiveRule,
  wallTime: string,
): View {
  const { backupDirs, backupEveryMs, backupRehearseMs } = rule;
  if (backupDirs.length === 0) return without(view, "backup");
  const before = view.backup;
  if (before === undefined && backup === undefined) return view;
  const lastAt = backup === undefined ? (before?.lastAt ?? null) : backup.lastAt;
  const failed = backup === undefined ? (before?.failed ?? "") : backup.failed;
  // A new alpha may store its backups in a folder of its own, which is empty at first.
  const isEmptied = before !== undefined && before.lastAt !== null && lastAt === null;
  const since = before === undefined || isEmptied ? wallTime : before.since;
  const ageMs = Date.parse(wallTime) - Date.parse(lastAt ?? since);
  const isOverdue = ageMs > Math.max(OVERDUE_INTERVALS * backupEveryMs, OVERDUE_MS_MIN);
  const archive = archiveView(before?.archive, backup?.archive, rule, wallTime);
  const next: BackupView = {
    lastAt,
    since,
    ...(failed === "" ? {} : { failed }),
    ...(isOverdue ? { isOverdue } : {}),
    ...(archive === undefined ? {} : { archive }),
    ...(backupRehearseMs === undefined
      ? {}
      : { rehearsal: rehearsalOf(before?.rehearsal, backup?.rehearsal) }),
  };
  return JSON.stringify(next) === JSON.stringify(before) ? view : { ...view, backup: next };
}

/** A failure reported by an earlier alpha stays until a newer rehearsal succeeds. */
function rehearsalOf(
  before: RehearsalView = { lastAt: null },
  outcome: RehearsalOutcome | undefined,
): RehearsalView {
  if (outcome === undefined) return before;
  const { lastAt } = outcome;
  const isNewer = lastAt !== null && (before.lastAt === null || lastAt > before.lastAt);
  const failed = outcome.failed ?? (isNewer ? "" : (before.failed ?? ""));
  return { lastAt, ...(failed === "" ? {} : { failed }) };
}
