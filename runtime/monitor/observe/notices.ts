// notices.ts: what monitors write for one another on the notice board, and what an alpha makes of it.
// A monitor is alive for the alpha while its notice changes: the sequence number sees to that. A stopped monitor's
// last words would otherwise count for ever.
import type { LastSeen, Peer } from "../decide/observations.ts";

export interface Notice {
  /** Differs from one start of a monitor to the next, and grows. */
  readonly sequence: string;
  readonly confDigest: string;
  readonly suspects: readonly string[];
}

/** undefined for anything that is not a notice: the board may hold words of another version. */
export function parseNotice(json: string): Notice | undefined {
  const value = parseRecord(json);
  const { sequence, confDigest, suspects } = value ?? {};
  if (typeof sequence !== "string" || typeof confDigest !== "string") return undefined;
  if (!Array.isArray(suspects)) return undefined;
  return { sequence, confDigest, suspects: suspects.filter((name) => typeof name === "string") };
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
  readonly notice: Notice;
  /** When this sequence was first read. */
  readonly sinceMs: number;
  /** It moved since this alpha began to listen. */
  readonly hasMoved: boolean;
}

/** Keeps what was heard from each other monitor. Pure but for its own memory; time comes in. */
export interface PeerBook {
  /** Answers whether somebody began to suspect one of `suspects` too. */
  hear(notices: ReadonlyMap<string, string>, nowMs: number, suspects: ReadonlySet<string>): boolean;
  /** Those whose notice moved within `aliveForMs`. */
  alive(nowMs: number, aliveForMs: number): Map<string, Peer>;
  /** Whether a monitor lives; undefined while too little was heard to say. */
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
    hear: (notices, nowMs, suspects) => {
      let isAgreement = false;
      for (const [name, json] of notices) {
        if (name === self) continue;
        const notice = parseNotice(json);
        if (notice === undefined) continue;
        const before = heard.get(name);
        if (before?.notice.sequence === notice.sequence) continue;
        heard.set(name, { notice, sinceMs: nowMs, hasMoved: before !== undefined });
        const known = before?.notice.suspects ?? [];
        const begun = notice.suspects.filter((node) => !known.includes(node));
        isAgreement ||= begun.some((node) => suspects.has(node));
      }
      return isAgreement;
    },
    alive: (nowMs, aliveForMs) => {
      const peers = new Map<string, Peer>();
      for (const [name, { notice }] of heard) {
        if (isAlive(name, nowMs, aliveForMs) !== true) continue;
        const { confDigest, suspects } = notice;
        peers.set(name, { confDigest, suspects: new Set(suspects) });
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
