// incidents.ts: decides from the troubles over time which incidents to mail. Pure.
//
//   brewing --has lasted--> open --well for long enough--> over --mailed--> resting --well for an hour--> forgotten
//      ^  | it ended         ^ |  the trouble came back     |                  |
//      |  +--> forgotten     | +--(still the same one)      |                  |
//      +---------------------+------------------------------+------------------+  trouble again
//
// Rules, so that an operator gets few mails and each is useful:
// 1. A dead node is an incident after alert-after; a partition without a master after five seconds, or after alert-after if
//    that is shorter: a failover takes less. For a partition that never had a master it is alert-after, because the cluster
//    is only starting.
// 2. An incident is over when its trouble has been gone for alert-after, but at least five seconds and at most a minute. If
//    the trouble comes back before that, it is the same incident: no mail.
// 3. The k-th incident of the same partition or node must be well for 2^(k-1) times as long, an hour at most, before it is
//    over. After an hour without trouble counting starts again. So a flapping node ends up with two mails an hour at most.
// 4. One mail when an incident begins and one when it is over; only one if it was over before the first could be sent.
// 5. Incidents that begin or end within three seconds are in one mail.
// 6. Two mails are at least thirty seconds apart, unless a partition has lost its master.
import type { Trouble } from "./troubles.ts";

export type IncidentPhase = "brewing" | "open" | "over" | "resting";

export interface Incident extends Omit<Trouble, "isFirstStart"> {
  readonly phase: IncidentPhase;
  /** When this phase began, by this monitor's monotonic clock. */
  readonly sinceMs: number;
  /** When the trouble ended; null while it lasts. */
  readonly wellSinceMs: number | null;
  /** The number of this subject's incidents without an hour of rest between them, this one included. */
  readonly times: number;
  /** Its beginning was mailed. */
  readonly isTold: boolean;
  /** ISO 8601 wall time, for people. `endedAt` is null until the trouble is gone. */
  readonly beganAt: string;
  readonly endedAt: string | null;
}

/** Incidents by id. */
export type Book = ReadonlyMap<string, Incident>;

export interface Look {
  readonly troubles: readonly Trouble[];
  readonly nowMs: number;
  readonly wallTime: string;
  readonly alertAfterMs: number;
  /** Only the alpha keeps an incident that is over until it is mailed; other monitors let it rest at once. */
  readonly isAlpha: boolean;
}

/** begun, over: the incident began, or is over; passed: it was over before its beginning could be mailed. */
export interface Item {
  readonly kind: "begun" | "over" | "passed";
  readonly incident: Incident;
}

const HALT_AFTER_MS = 5000;
const SETTLE_MS = { min: 5000, max: 60_000 };
const HOUR_MS = 3_600_000;
const GATHER_MS = 3000;
const MAIL_GAP_MS = 30_000;
const RETRY_MS = { first: 5000, most: 300_000 };

/** The book after a new look at the present troubles. */
export function lookOn(book: Book, look: Look): Book {
  const present = new Map(look.troubles.map((trouble) => [trouble.id, trouble]));
  const next = new Map<string, Incident>();
  for (const incident of book.values()) {
    const changed = stepOf(incident, present.get(incident.id), look);
    if (changed !== undefined) next.set(incident.id, changed);
  }
  for (const trouble of look.troubles) {
    if (book.has(trouble.id)) continue;
    const fresh = brewing(trouble, look, 0);
    next.set(trouble.id, stepOf(fresh, trouble, look) ?? fresh);
  }
  return next;
}

function brewing(trouble: Trouble, { nowMs, wallTime }: Look, times: number): Incident {
  const { id, kind, subject, what, need } = trouble;
  return {
    ...{ id, kind, subject, what, need },
    phase: "brewing",
    sinceMs: nowMs,
    wellSinceMs: null,
    times,
    isTold: false,
    beganAt: wallTime,
    endedAt: null,
  };
}

/** undefined: the incident is forgotten. */
function stepOf(
  incident: Incident,
  trouble: Trouble | undefined,
  look: Look,
): Incident | undefined {
  const { nowMs, isAlpha } = look;
  switch (incident.phase) {
    case "brewing":
      if (trouble === undefined) return incident.times === 0 ? undefined : rested(incident, nowMs);
      if (nowMs - incident.sinceMs < lastsMs(trouble, look))
        return { ...incident, ...worded(trouble) };
      return openedOf({ ...incident, ...worded(trouble) }, nowMs);
    case "open":
      return trouble === undefined
        ? ending(incident, look)
        : { ...incident, ...worded(trouble), wellSinceMs: null, endedAt: null };
    case "over":
      // The trouble came back before its end was mailed: the same incident continues.
      if (trouble !== undefined) {
        return { ...incident, phase: "open", sinceMs: nowMs, wellSinceMs: null, endedAt: null };
      }
      return isAlpha ? incident : rested(incident, nowMs);
    case "resting":
      if (trouble !== undefined) return brewing(trouble, look, incident.times);
      return nowMs - incident.sinceMs < HOUR_MS ? incident : undefined;
  }
}

function worded({ what, need }: Trouble): Pick<Incident, "what" | "need"> {
  return { what, need };
}

function openedOf(incident: Incident, nowMs: number): Incident {
  return { ...incident, phase: "open", sinceMs: nowMs, times: incident.times + 1, isTold: false };
}

function ending(incident: Incident, { nowMs, wallTime, isAlpha, alertAfterMs }: Look): Incident {
  const wellSinceMs = incident.wellSinceMs ?? nowMs;
  const endedAt = incident.endedAt ?? wallTime;
  const well = { ...incident, wellSinceMs, endedAt };
  if (nowMs - wellSinceMs < settleMs(incident.times, alertAfterMs)) return well;
  return isAlpha ? { ...well, phase: "over", sinceMs: nowMs } : rested(well, nowMs);
}

function rested(incident: Incident, nowMs: number): Incident {
  return { ...incident, phase: "resting", sinceMs: nowMs, isTold: false };
}

/** Rule 1. */
function lastsMs({ kind, isFirstStart }: Trouble, { alertAfterMs }: Look): number {
  return kind !== "halt" || isFirstStart ? alertAfterMs : Math.min(alertAfterMs, HALT_AFTER_MS);
}

/** Rules 2 and 3: how long the `times`-th incident must be well before it is over. */
export function settleMs(times: number, alertAfterMs: number): number {
  const onceMs = Math.min(SETTLE_MS.max, Math.max(SETTLE_MS.min, alertAfterMs));
  return Math.min(HOUR_MS, onceMs * 2 ** Math.max(0, times - 1));
}

/** The items that were not mailed yet, by rule 4. */
export function untoldOf(book: Book): Item[] {
  return [...book.values()].flatMap((incident): Item[] => {
    if (incident.phase === "open" && !incident.isTold) return [{ kind: "begun", incident }];
    if (incident.phase !== "over") return [];
    return [{ kind: incident.isTold ? "over" : "passed", incident }];
  });
}

/** The items of a mail that is due now, by rules 5 and 6; empty when none is due. `lastMailMs` is null before the first
    mail. */
export function itemsDue(book: Book, nowMs: number, lastMailMs: number | null): Item[] {
  const items = untoldOf(book);
  const halts = items.filter(({ kind, incident }) => kind === "begun" && incident.kind === "halt");
  // All items go into the mail, but it still waits for the other partitions of the same outage.
  const gathered = halts.length > 0 ? halts : items;
  const firstMs = Math.min(...gathered.map(({ incident }) => incident.sinceMs));
  if (items.length === 0 || nowMs - firstMs < GATHER_MS) return [];
  const hasGap = lastMailMs === null || nowMs - lastMailMs >= MAIL_GAP_MS;
  return halts.length > 0 || hasGap ? items : [];
}

/** The book after a server accepted a mail with `items`. It may have changed while the mail was under way. */
export function toldOf(book: Book, items: readonly Item[], nowMs: number): Book {
  const next = new Map(book);
  for (const { kind, incident } of items) {
    const now = next.get(incident.id);
    if (now === undefined) continue;
    if (kind === "begun") next.set(now.id, { ...now, isTold: true });
    else if (now.phase === "over") next.set(now.id, rested(now, nowMs));
    // Its end was mailed, but the trouble came back meanwhile: a new incident to mail.
    else if (now.phase === "open") next.set(now.id, openedOf(now, nowMs));
  }
  return next;
}

/** The pause after the n-th failed attempt in a row; n counts from 1. */
export function retryMs(failures: number): number {
  return Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** Math.min(16, failures - 1));
}
