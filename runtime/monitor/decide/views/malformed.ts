// malformed.ts: chooses the removed malformed entries that the view shows. Pure.
import type { MalformedEntry } from "../../../core/shared-entries.ts";
import type { View } from "../../../core/view.ts";

/** All processes read the view all the time, so it shows only a few. */
const SHOWN_COUNT_MAX = 8;
/** Each entry is shown for an hour by the alphas' wall clocks: it is information for people; no decision depends on it. */
const SHOWN_MS = 3_600_000;

/** The `malformed` field of the next view; {} when it shows none. The same entry is shown only once. */
export function recentMalformed(
  shown: readonly MalformedEntry[] = [],
  removed: readonly MalformedEntry[] = [],
  wallTime: string,
): Pick<View, "malformed"> {
  const nowMs = Date.parse(wallTime);
  const entries = new Map<string, MalformedEntry>();
  for (const entry of [...shown, ...removed]) {
    const { node, hash, field } = entry;
    const key = JSON.stringify([node, hash, field]);
    // The first time stays: an entry that is written again every second must not change the view every second.
    const isRecent = !(nowMs - Date.parse(entry.at) > SHOWN_MS);
    if (isRecent && !entries.has(key)) entries.set(key, entry);
  }
  const malformed = [...entries.values()].slice(0, SHOWN_COUNT_MAX);
  return malformed.length === 0 ? {} : { malformed };
}
