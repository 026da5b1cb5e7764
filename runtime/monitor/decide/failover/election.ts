// election.ts: decides when a monitor may try to become alpha, and when an alpha may still act. Pure.
//
//   watching --no heartbeat for lease + spread--> prepare --nothing newer--> alpha of epoch + 1
//        ^                                           | a newer heartbeat than the watched one
//        +-------------------------------------------+ gives way
//
// Invariant: at most one monitor acts in any instant. The alpha counts its lease from when it sent its last chosen accept,
// and subtracts a margin. Every other monitor counts a whole lease from when it saw the heartbeat. Each uses its own
// monotonic clock; clocks of two machines are never compared.
import { compareBallots } from "../../../register/ballot.ts";
import type { Ballot } from "../../../register/register.ts";

/**
 * The newest accept that a monitor knows of; epoch 0 before the first view. It is named by its ballot: the heartbeat counts
 * from the value that the last prepare found, so after a prepare that did not see an accept of a minority two accepts have
 * the same count, and only the second one begins a lease.
 */
export interface Heartbeat {
  readonly epoch: number;
  readonly ballot: Ballot | null;
}

export interface Watch {
  readonly heartbeat: Heartbeat;
  /** When this monitor first saw that heartbeat, by its own clock. */
  readonly sinceMs: number;
  /** How long this monitor waits beyond the lease; random, so that two monitors rarely try at once. */
  readonly spreadMs: number;
}

/** `drawn` is a random number in [0, 1). Before the first view there is no lease, so only the spread counts. */
export function startWatch(
  heartbeat: Heartbeat,
  nowMs: number,
  leaseMs: number,
  drawn: number,
): Watch {
  const spreadMs = (drawn * leaseMs) / 2;
  const isFirstStart = heartbeat.epoch === 0;
  return { heartbeat, sinceMs: isFirstStart ? nowMs - leaseMs : nowMs, spreadMs };
}

/** The same watch while the heartbeat does not change; a new one when it has changed. */
export function watchOn(
  watch: Watch,
  heartbeat: Heartbeat,
  nowMs: number,
  leaseMs: number,
  drawn: number,
): Watch {
  return isNewer(heartbeat, watch.heartbeat) ? startWatch(heartbeat, nowMs, leaseMs, drawn) : watch;
}

/**
 * Whether `a` is newer than `b`: an accept that is chosen later has a higher ballot. Ballots begin anew when all status nodes
 * were emptied; the epoch may be higher even then.
 */
export function isNewer(a: Heartbeat, b: Heartbeat): boolean {
  return a.epoch > b.epoch || compareBallots(a.ballot, b.ballot) > 0;
}

/** True when the heartbeat has not changed for a lease and the spread. */
export function mayContend(watch: Watch, nowMs: number, leaseMs: number): boolean {
  return nowMs - watch.sinceMs >= leaseMs + watch.spreadMs;
}

/** Until when an alpha may act, if it sent its last chosen accept at `sentAtMs`. The margin of a fifth covers clocks of
    slightly different speed and the time between the check and the action. */
export function leaseEndMs(sentAtMs: number, leaseMs: number): number {
  return sentAtMs + leaseMs - leaseMs / 5;
}
