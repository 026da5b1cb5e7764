// incidents.ts: from troubles seen over time to what is to be mailed. Pure.
//
//   brewing --has lasted--> open --well for long enough--> over --mailed--> resting --well for an hour--> forgotten
//      ^  | it ended         ^ |  the trouble came back     |                  |
//      |  +--> forgotten     | +--(still the same one)      |                  |
//      +---------------------+------------------------------+------------------+  trouble again
//
// Rules, so that a person gets few mails and each says something:
// 1. A node's death becomes an incident when it has lasted alert-after; a partition without a master after five seconds,
//    or alert-after where that is shorter: a failover takes less. A partition that never had a master waits for
//    alert-after, for the cluster is only starting.
// 2. An incident is over when its trouble has been gone for alert-after, at least five seconds and at most a minute. A
//    trouble that comes back before that is the same incident: no mail.
// 3. The k-th incident of the same partition or node must stay well 2^(k-1) times as long, an hour at most, before it is
//    over; after an hour without trouble counting starts anew. So what flaps costs at most two mails an hour in the end.
// 4. One mail when an incident begins and one when it is over; one in all when it was over before the first could go.
// 5. What begins or ends within three seconds goes into one mail.
// 6. Between two mails lie thirty seconds at least, unless a partition has lost its master.
import type { Trouble } from "./troubles.ts";

export type IncidentPhase = "brewing" | "open" | "over" | "resting";

export interface Incident extends Omit<Trouble, "isFirstStart"> {
  readonly phase: IncidentPhase;
  /** Since when it is in this phase, by this monitor's monotonic clock. */
  readonly sinceMs: number;
  /** Since when the trouble is gone; null while it is there. */
  readonly wellSinceMs: number | null;
  /** How many incidents this subject has had without an hour of rest between, this one included. */
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
  /** Only the alpha keeps what is over until it is mailed; the others trust it to do so. */
  readonly isAlpha: boolean;
}

/** begun, over: as they happened; passed: over before its beginning could be mailed. */
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

/** The book after one more look at the troubles there are. */
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

/** undefined: nothing is left to remember. */
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
      // It came back before anybody was told that it had gone: the same incident goes on.
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
  return kind === "dead" || isFirstStart ? alertAfterMs : Math.min(alertAfterMs, HALT_AFTER_MS);
}

/** Rules 2 and 3: how long the `times`-th incident must be well before it is over. */
export function settleMs(times: number, alertAfterMs: number): number {
  const onceMs = Math.min(SETTLE_MS.max, Math.max(SETTLE_MS.min, alertAfterMs));
  return Math.min(HOUR_MS, onceMs * 2 ** Math.max(0, times - 1));
}

/** What nobody was told yet, by rule 4. */
export function untoldOf(book: Book): Item[] {
  return [...book.values()].flatMap((incident): Item[] => {
    if (incident.phase === "open" && !incident.isTold) return [{ kind: "begun", incident }];
    if (incident.phase !== "over") return [];
    return [{ kind: incident.isTold ? "over" : "passed", incident }];
  });
}

/** The items of a mail that is to go now, by rules 5 and 6; empty when it is not yet time. `lastMailMs` is null before
    the first. */
export function itemsDue(book: Book, nowMs: number, lastMailMs: number | null): Item[] {
  const items = untoldOf(book);
  const halts = items.filter(({ kind, incident }) => kind === "begun" && incident.kind === "halt");
  // Whatever else waits is taken along, but the partitions of one outage are gathered all the same.
  const gathered = halts.length > 0 ? halts : items;
  const firstMs = Math.min(...gathered.map(({ incident }) => incident.sinceMs));
  if (items.length === 0 || nowMs - firstMs < GATHER_MS) return [];
  const hasGap = lastMailMs === null || nowMs - lastMailMs >= MAIL_GAP_MS;
  return halts.length > 0 || hasGap ? items : [];
}

/** The book once a mail with `items` was taken by the server. It may have moved on while the mail was under way. */
export function toldOf(book: Book, items: readonly Item[], nowMs: number): Book {
  const next = new Map(book);
  for (const { kind, incident } of items) {
    const now = next.get(incident.id);
    if (now === undefined) continue;
    if (kind === "begun") next.set(now.id, { ...now, isTold: true });
    else if (now.phase === "over") next.set(now.id, rested(now, nowMs));
    // It was called over, and has come back: that is a new beginning to tell.
    else if (now.phase === "open") next.set(now.id, openedOf(now, nowMs));
  }
  return next;
}

/** How long to wait after the n-th failed attempt in a row, from 1 on. */
export function retryMs(failures: number): number {
  return Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** Math.min(16, failures - 1));
}
