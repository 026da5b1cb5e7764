// record.ts: the alpha's book of incidents as it stands on the status nodes, so that a new alpha neither repeats what its
// predecessor mailed nor forgets what it had not mailed yet. Pure.
// Monotonic times stay behind: they mean nothing to another monitor, which has watched the same views itself.
import type { Book, Incident } from "./incidents.ts";

type Recorded = Omit<Incident, "sinceMs" | "wellSinceMs">;

/** JSON; the same text for the same book, whatever the time. */
export function recordOf(book: Book): string {
  const incidents = [...book.values()]
    .filter(({ phase, times }) => phase !== "brewing" || times > 0)
    .map(recorded)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  return JSON.stringify({ incidents });
}

function recorded(incident: Incident): Recorded {
  const { id, kind, subject, what, need, times, isTold, beganAt, endedAt } = incident;
  const phase = incident.phase === "brewing" ? "resting" : incident.phase;
  return { id, kind, subject, what, need, phase, times, isTold, beganAt, endedAt };
}

/**
 * A new alpha's book: its own, and what its predecessor recorded.
 * 1. What was mailed is known from the record alone; whether the trouble is there, from this monitor's own eyes.
 * 2. Recorded as open: open, and over once this monitor has seen it well for long enough.
 * 3. Recorded as over and not yet mailed: still to be mailed, unless the trouble is back.
 * 4. Recorded as at rest: what this monitor sees now is new, and the count of times goes on.
 * 5. Not recorded: nobody was told.
 */
export function adoptRecord(own: Book, text: string | null, nowMs: number): Book {
  const next = new Map<string, Incident>();
  for (const incident of own.values()) next.set(incident.id, { ...incident, isTold: false });
  for (const entry of parseRecord(text)) {
    next.set(entry.id, adopted(entry, own.get(entry.id), nowMs));
  }
  return next;
}

function adopted(entry: Recorded, own: Incident | undefined, nowMs: number): Incident {
  const isThere = own?.wellSinceMs === null && (own.phase === "brewing" || own.phase === "open");
  const base = { ...entry, sinceMs: nowMs };
  if (isThere && entry.phase === "resting") {
    return { ...own, phase: "brewing", times: entry.times, isTold: false };
  }
  if (isThere) return { ...base, phase: "open", wellSinceMs: null, endedAt: null };
  return { ...base, wellSinceMs: own?.wellSinceMs ?? nowMs };
}

/** Empty for null and for what is no record: another version's words are left alone. */
function parseRecord(text: string | null): Recorded[] {
  if (text === null) return [];
  try {
    const value = JSON.parse(text) as { incidents?: unknown } | null;
    return Array.isArray(value?.incidents) ? value.incidents.filter(isRecorded) : [];
  } catch {
    return [];
  }
}

function isRecorded(value: unknown): value is Recorded {
  const { id, kind, subject, what, need, phase, times, isTold, beganAt, endedAt } = (value ??
    {}) as Partial<Record<keyof Recorded, unknown>>;
  const words = [id, subject, what, need, beganAt];
  return (
    words.every((word) => typeof word === "string") &&
    (kind === "halt" || kind === "dead") &&
    (phase === "open" || phase === "over" || phase === "resting") &&
    typeof times === "number" &&
    typeof isTold === "boolean" &&
    (endedAt === null || typeof endedAt === "string")
  );
}
