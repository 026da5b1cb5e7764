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

export type FaultKind = (typeof FAULT_KINDS)[number];

/** Those that leave every data node and every way to one alone: with nothing else, no write may be lost at all. */
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
]);
