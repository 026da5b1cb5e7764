// in-progress.ts: the note of a backup under way: who writes it. Pure.

/** A process, for whoever finds a backup of it under way. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
}

export const IN_PROGRESS = "in-progress.json";
/** A backup writes all the time, so one that has not for that long has died. */
export const STALE_MS = 10 * 60_000;
/** The most of any note that is read. */
export const NOTE_BYTES_MAX = 1024 * 1024;

/** Nobody's when it says nothing useful. */
export function ownerIn(note: string | undefined): Owner {
  try {
    const value = JSON.parse(note ?? "") as { host?: unknown; pid?: unknown } | null;
    const { host, pid } = value ?? {};
    if (typeof host === "string" && typeof pid === "number") return { host, pid };
  } catch {
    // Nobody's.
  }
  return { host: "an unknown host", pid: 0 };
}
