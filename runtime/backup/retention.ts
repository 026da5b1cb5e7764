// retention.ts: which backups may go. Pure.
//
// 1. The newest is kept, always. Ids tell seconds apart: of one second the one that was just taken is the newest.
// 2. `last` N: the newest N are kept.
// 3. Periods, as in `24h 7d 4w`: for each of the last 24 hours, 7 days and 4 weeks (UTC; weeks begin on Monday) that
//    have a backup, the newest of that hour, day or week is kept. Hours without a backup don't count, so a cluster
//    that stood still for a month keeps its last backups.
//    And all of the hour before the newest: after a restore the alpha takes a backup at once, and whoever sees that it was
//    the wrong moment needs the one before it.
import type { KeepRule } from "../core/cluster.ts";

export interface Dated {
  readonly id: string;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;
/** 1 January 1970 was a Thursday. */
const MONDAY_MS = 3 * DAY_MS;

/** Those that the rule does not keep, oldest first. `takenId`: the one that was just taken. */
export function expiredOf<T extends Dated>(
  backups: readonly T[],
  rule: KeepRule,
  takenId?: string,
): T[] {
  const rank = ({ id }: T): number => (id === takenId ? 1 : 0);
  const newestFirst = backups.toSorted(
    (a, b) => b.startedAtMs - a.startedAtMs || rank(b) - rank(a) || (a.id < b.id ? 1 : -1),
  );
  const kept = new Set(newestFirst.slice(0, 1));
  if (rule.kind === "last") {
    for (const backup of newestFirst.slice(0, rule.count)) kept.add(backup);
  } else {
    const sinceMs = (newestFirst[0]?.startedAtMs ?? 0) - HOUR_MS;
    for (const backup of newestFirst) if (backup.startedAtMs > sinceMs) kept.add(backup);
    keepNewest(newestFirst, rule.hours, (ms) => Math.floor(ms / HOUR_MS), kept);
    keepNewest(newestFirst, rule.days, (ms) => Math.floor(ms / DAY_MS), kept);
    keepNewest(newestFirst, rule.weeks, (ms) => Math.floor((ms + MONDAY_MS) / WEEK_MS), kept);
  }
  return newestFirst.filter((backup) => !kept.has(backup)).toReversed();
}

function keepNewest<T extends Dated>(
  newestFirst: readonly T[],
  count: number,
  periodOf: (ms: number) => number,
  kept: Set<T>,
): void {
  const seen = new Set<number>();
  for (const backup of newestFirst) {
    const period = periodOf(backup.startedAtMs);
    if (seen.has(period)) continue;
    if (seen.size >= count) return;
    seen.add(period);
    kept.add(backup);
  }
}
