// fault-kinds.ts: what can befall a simulated cluster; faults.ts does it.

export const FAULT_KINDS = [
  "data-kill",
  "data-quick-restart",
  "data-wipe",
  "data-power",
  "data-pause",
  "status-kill",
  "status-power",
  "status-pause",
  "status-wipe",
  "monitor-kill",
  "monitor-pause",
  "monitor-jump",
  "alpha-pause",
  "alpha-kill",
  "master-kill",
  "master-pause",
  "router-pause",
  "host-power",
  "cut-one-way",
  "cut-both-ways",
  "isolate-host",
  "split",
  "stale-alpha",
  "handover",
] as const;

/** Those that a hunt asks for (hunts.ts) and no seed draws; hunt-faults.ts does them. */
export const HUNT_KINDS = [
  "synced-master-kill",
  "master-wakes",
  "witness-kill",
  "witness-restart",
  "one-witness",
  "no-witness",
  "router-unaware",
  "new-alpha-sleeps",
  "made-master-by-hand",
  "cut-asked",
  "cut-slow",
  "cut-hangs",
  "cut-unpaused-by-hand",
] as const;

export type HuntKind = (typeof HUNT_KINDS)[number];
export type FaultKind = (typeof FAULT_KINDS)[number] | HuntKind;

export function isHuntKind(kind: FaultKind): kind is HuntKind {
  return HUNT_KINDS.some((hunted) => hunted === kind);
}

/** Those after which no write may be lost at all, even without ack-replicas: they leave every data node and every way to
    one alone, or end a master's process alone whose replicas were all in sync. */
export const GENTLE_KINDS: ReadonlySet<FaultKind> = new Set([
  "status-kill",
  "status-power",
  "status-pause",
  "status-wipe",
  "monitor-kill",
  "monitor-pause",
  "monitor-jump",
  "alpha-pause",
  "alpha-kill",
  "router-pause",
  "handover",
  "synced-master-kill",
  "made-master-by-hand",
  "cut-asked",
]);
