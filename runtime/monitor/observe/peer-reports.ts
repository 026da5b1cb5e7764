// peer-reports.ts: the reports that monitors write into the shared hashes, and how an alpha reads them.
// To the alpha a monitor is alive while its report changes; each report has a new sequence number. Otherwise the last
// report of a stopped monitor would count forever.
import type { LastSeen, Peer } from "../decide/nodes/observations.ts";

export interface PeerReport {
  /** The run of the monitor and a number that grows with every report. */
  readonly sequence: string;
  readonly confDigest: string;
  readonly suspects: readonly string[];
  /** Most data nodes are silent to this monitor. */
  readonly isCutOff: boolean;
}

/** undefined when it is not a valid report: another version may have written it. */
export function parsePeerReport(json: string): PeerReport | undefined {
  const value = parseRecord(json);
  const { sequence, confDigest, suspects, isCutOff } = value ?? {};
  if (typeof sequence !== "string" || typeof confDigest !== "string") return undefined;
  if (!Array.isArray(suspects)) return undefined;
  const names = suspects.filter((name) => typeof name === "string");
  // Older versions don't report isCutOff; while cut off they report only refusals.
  return { sequence, confDigest, suspects: names, isCutOff: isCutOff === true };
}

export function parseLastSeen(json: string): LastSeen | undefined {
  const { replicationId, offset, keys } = parseRecord(json) ?? {};
  if (typeof replicationId !== "string") return undefined;
  if (typeof offset !== "number" || typeof keys !== "number") return undefined;
  return { replicationId, offset, keys };
}

function parseRecord(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

interface Heard {
  readonly report: PeerReport;
  /** When this sequence was first read. */
  readonly sinceMs: number;
  /** The report has changed since this alpha began to read. */
  readonly hasMoved: boolean;
}

/** The last report of each other monitor. Keeps only its own memory; time is a parameter. */
export interface PeerBook {
  /** Returns whether another monitor began to suspect one of `suspects` too. */
  hear(reports: ReadonlyMap<string, string>, nowMs: number, suspects: ReadonlySet<string>): boolean;
  /** Monitors whose report changed within `aliveForMs`. */
  alive(nowMs: number, aliveForMs: number): Map<string, Peer>;
  /** Whether a monitor is alive; undefined until this alpha has read for `aliveForMs`. */
  isAlive(name: string, nowMs: number, aliveForMs: number): boolean | undefined;
  forget(nowMs: number): void;
}

export function createPeerBook(self: string): PeerBook {
  let heard = new Map<string, Heard>();
  let listeningSinceMs = 0;
  const isAlive = (name: string, nowMs: number, aliveForMs: number): boolean | undefined => {
    const entry = heard.get(name);
    if (entry?.hasMoved === true && nowMs - entry.sinceMs <= aliveForMs) return true;
    return nowMs - listeningSinceMs <= aliveForMs ? undefined : false;
  };
  return {
    hear: (reports, nowMs, suspects) => {
      let isAgreement = false;
      for (const [name, json] of reports) {
        if (name === self) continue;
        const report = parsePeerReport(json);
        if (report === undefined) continue;
        const before = heard.get(name);
        if (before?.report.sequence === report.sequence) continue;
        heard.set(name, { report, sinceMs: nowMs, hasMoved: before !== undefined });
        const known = before?.report.suspects ?? [];
        const begun = report.suspects.filter((node) => !known.includes(node));
        isAgreement ||= begun.some((node) => suspects.has(node));
      }
      return isAgreement;
    },
    alive: (nowMs, aliveForMs) => {
      const peers = new Map<string, Peer>();
      for (const [name, { report }] of heard) {
        if (isAlive(name, nowMs, aliveForMs) !== true) continue;
        const { confDigest, suspects, isCutOff } = report;
        peers.set(name, { confDigest, suspects: new Set(suspects), isCutOff });
      }
      return peers;
    },
    isAlive,
    forget: (nowMs) => {
      heard = new Map();
      listeningSinceMs = nowMs;
    },
  };
}
