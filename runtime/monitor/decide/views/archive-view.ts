// archive-view.ts: the part of the view about the archive that the alpha records. Pure.
//
// The archiver reports once a second. Times and figures are rounded, so that the view changes only when it matters.
import { without } from "../../../core/without.ts";
import type { ArchiveState } from "../../../core/archive-state.ts";
import type { Settings } from "../../../core/cluster.ts";
import type { ArchiveView } from "../../../core/view.ts";

export type ArchiveRule = Partial<Pick<Settings, "backupArchive" | "backupCutEveryMs">>;

/** Below this the archive is not behind: blocks are stored every quarter of a second. */
const LAG_MS_MIN = 2000;
const TIMES_EVERY_MS = 60_000;
const TEXT_CHARS_MAX = 400;
/** Late: the newest cut is older than this many times backup-cut-every plus TIMES_EVERY_MS, and than LATE_MS_MIN. */
const LATE_INTERVALS = 6;
const LATE_MS_MIN = 90_000;

/** undefined: there is no backup-archive in twine.conf. */
export function archiveView(
  before: ArchiveView | undefined,
  outcome: ArchiveState | undefined,
  { backupArchive = "no", backupCutEveryMs = 10_000 }: ArchiveRule,
  wallTime: string,
): ArchiveView | undefined {
  if (backupArchive === "no") return undefined;
  const since = before?.since ?? wallTime;
  const lastCutAt =
    outcome === undefined
      ? (before?.lastCutAt ?? null)
      : roundedTime(before?.lastCutAt ?? null, outcome.lastCutAt);
  const ageMs = Date.parse(wallTime) - Date.parse(lastCutAt ?? since);
  const isLate = ageMs > Math.max(LATE_MS_MIN, LATE_INTERVALS * backupCutEveryMs + TIMES_EVERY_MS);
  const late = isLate ? { isLate } : {};
  if (outcome === undefined) {
    if (before === undefined) return { since, lastCutAt, lagSeconds: 0, lagBytes: 0 };
    return { ...without(before, "isLate"), ...late };
  }
  const isBehind = outcome.lagMs >= LAG_MS_MIN;
  return {
    since,
    lastCutAt,
    lagSeconds: isBehind ? rounded(outcome.lagMs / 1000) : 0,
    lagBytes: isBehind ? rounded(outcome.lagBytes) : 0,
    ...(outcome.gapAt === null ? {} : { gapAt: outcome.gapAt, gapWhy: short(outcome.gapWhy) }),
    ...(outcome.noBase === "" ? {} : { noBase: short(outcome.noBase) }),
    ...(outcome.failed === "" ? {} : { failed: short(outcome.failed) }),
    ...late,
  };
}

/** The shown time stays until the newer one is at least a minute newer. */
function roundedTime(before: string | null, now: string | null): string | null {
  if (before === null || now === null) return now ?? before;
  const newerMs = Date.parse(now) - Date.parse(before);
  return newerMs >= 0 && newerMs < TIMES_EVERY_MS ? before : now;
}

/** Rounds up to one digit: 4321 becomes 5000. */
function rounded(value: number): number {
  if (value <= 0) return 0;
  const unit = 10 ** Math.floor(Math.log10(value));
  return Math.ceil(value / unit) * unit;
}

function short(text: string): string {
  return text.slice(0, TEXT_CHARS_MAX);
}
