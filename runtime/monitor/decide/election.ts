// election.ts: when a monitor may try to become alpha, and when an alpha may still act. Pure.
//
//   watching --no heartbeat for lease + spread--> prepare --nothing newer--> alpha of epoch + 1
//        ^                                           | a newer heartbeat than the one watched
//        +-------------------------------------------+ gives way
//
// Invariant: at most one monitor acts in any instant. The alpha counts its lease from the sending of its last chosen
// accept and takes a margin off; everybody else counts a whole lease from the moment of seeing it. Each uses its own
// monotonic clock, and no clock is compared between machines.

/** The register's sign of life as a watcher sees it; epoch 0 before the first view. */
export interface Pulse {
  readonly epoch: number;
  readonly heartbeat: number;
}

export interface Watch {
  readonly pulse: Pulse;
  /** When that pulse was first seen, by this monitor's clock. */
  readonly sinceMs: number;
  /** How long beyond the lease this monitor waits, so that contenders rarely meet. */
  readonly spreadMs: number;
}

/** `drawn` is a random number in [0, 1). Before the first view nobody can hold a lease, so only the spread counts. */
export function startWatch(pulse: Pulse, nowMs: number, leaseMs: number, drawn: number): Watch {
  const spreadMs = (drawn * leaseMs) / 2;
  const isFirstStart = pulse.epoch === 0;
  return { pulse, sinceMs: isFirstStart ? nowMs - leaseMs : nowMs, spreadMs };
}

/** The watch after another reading: the same while the pulse stands still, a new one when it moved. */
export function watchOn(
  watch: Watch,
  pulse: Pulse,
  nowMs: number,
  leaseMs: number,
  drawn: number,
): Watch {
  return isNewer(pulse, watch.pulse) ? startWatch(pulse, nowMs, leaseMs, drawn) : watch;
}

/** Whether `a` was beaten after `b`. Heartbeats go on counting over epochs; an epoch alone may also have moved. */
export function isNewer(a: Pulse, b: Pulse): boolean {
  return a.epoch > b.epoch || a.heartbeat > b.heartbeat;
}

/** True when the pulse has stood still for a lease and the spread. */
export function mayContend(watch: Watch, nowMs: number, leaseMs: number): boolean {
  return nowMs - watch.sinceMs >= leaseMs + watch.spreadMs;
}

/** Until when an alpha may act, given when it sent the last accept that was chosen. The fifth taken off is for clocks
    that run at slightly different speeds and for the time between the check and the act. */
export function leaseEndMs(sentAtMs: number, leaseMs: number): number {
  return sentAtMs + leaseMs - leaseMs / 5;
}
