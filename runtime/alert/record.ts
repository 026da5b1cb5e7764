// record.ts: the alpha's book of incidents as text on the status nodes, so that a new alpha neither repeats its
// predecessor's mails nor forgets those that were not sent yet. Pure.
// Monotonic times are not recorded: they mean nothing to another monitor, which has watched the same views itself.
import type { Book, Incident } from "./incidents.ts";

type Recorded = Omit<Incident, "sinceMs" | "wellSinceMs">;

/** JSON; the same book gives the same text at any time. */
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
 * A new alpha's book, from its own observations and its predecessor's record.
 * 1. Only the record shows what was mailed; only this monitor's observations show whether the trouble is present.
 * 2. Recorded as open: open, and over when this monitor has seen it well for long enough.
 * 3. Recorded as over and not yet mailed: still to be mailed, unless the trouble is back.
 * 4. Recorded as resting: a present trouble is a new incident, and the count continues.
 * 5. Not recorded: no mail was sent.
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

/** Empty for null and for an invalid record, for example another version's. */
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
    (kind === "halt" || kind === "dead" || kind === "backup") &&
    (phase === "open" || phase === "over" || phase === "resting") &&
    typeof times === "number" &&
    typeof isTold === "boolean" &&
    (endedAt === null || typeof endedAt === "string")
  );
}
