// hunts.ts: for each mistake a kind of cluster, weather and misfortune in which its rule matters, and what is then seen.
import type { Mistake } from "./mistakes.ts";
import type { Scenario } from "./scenario.ts";

export interface Hunt {
  readonly scenario: Partial<Scenario>;
  /** What a checker says of it. */
  readonly found: RegExp;
  /** The first and the last seed: one at least finds the mistake, and without it all are well. */
  readonly seeds: readonly [number, number];
}

const THREE: Partial<Scenario> = {
  partitions: 1,
  nodesPerPartition: 3,
  monitors: 3,
  statusNodes: 3,
  ackReplicas: 1,
  persistence: "aof",
  // Many writes must not run away from a full sync: with a short backlog it would never end.
  backlogSize: 10_000,
  chaosMs: 3000,
};

const LOST = /lacks \d+ of \d+ acknowledged writes/;
const LATE_WRITE = /executed a write that was sent when a\d was master/;
const STALE_ACT = /acted on a\d after epoch \d+ had fenced it/;

/** Faults come as fast as a failover of this pace allows, among many writes. */
const BRISK: Partial<Scenario> = {
  leaseMs: 200,
  downAfterMs: 200,
  faultEveryMs: 500,
  writeEveryMs: 10,
};

/** One partition of three nodes under three monitors, in which faults of `kinds` befall; `scenario` on top of that. */
function hunt(
  kinds: Scenario["kinds"],
  found: RegExp,
  scenario: Partial<Scenario>,
  seeds: readonly [number, number] = [1, 3],
): Hunt {
  return { scenario: { ...THREE, ...scenario, kinds }, found, seeds };
}

const TORN = /a cut is torn/;

/** Two partitions, cuts one after the other, and no failover but those that are asked for. */
const CUTS: Partial<Scenario> = {
  partitions: 2,
  leaseMs: 1000,
  downAfterMs: 2000,
  faultEveryMs: 700,
  writeEveryMs: 5,
  chaosMs: 8000,
  weather: { leastMs: 0.5, spreadMs: 2, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 },
};

export const HUNTS: Readonly<Record<Mistake, Hunt>> = {
  "quorum-of-one": hunt([], /took view \S+ for chosen|both lead epoch|without knowing/, {}),
  "one-replica-is-enough": hunt(["witness-kill"], LOST, BRISK),
  "lease-not-waited-out": hunt(["router-unaware"], LATE_WRITE, { ...BRISK, ackReplicas: 0 }),
  "lowest-offset": hunt(["one-witness"], LOST, BRISK),
  "compared-while-moving": hunt(["master-wakes"], LOST, { ...BRISK, writeEveryMs: 5 }),
  "drain-off": hunt(
    ["synced-master-kill"],
    LOST,
    {
      ...BRISK,
      ackReplicas: 0,
      weather: { leastMs: 1, spreadMs: 3, slowOneIn: 5, lostOneIn: 0, repeatedOneIn: 0 },
      downAfterMs: 400,
      writeEveryMs: 5,
    },
    [1, 4],
  ),
  "lease-unchecked": hunt(
    ["new-alpha-sleeps"],
    STALE_ACT,
    {
      weather: { leastMs: 0.5, spreadMs: 1, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 },
      fsyncMs: 20,
      leaseMs: 300,
      downAfterMs: 300,
      faultEveryMs: 500,
    },
    [1, 5],
  ),
  "any-run-counts": hunt(["witness-restart"], LOST, {
    ...BRISK,
    persistence: "rdb",
    saveEveryMs: 300,
  }),
  "own-writes-count": hunt(
    ["made-master-by-hand", "master-kill"],
    LOST,
    { ...BRISK, faultEveryMs: 150, writeEveryMs: 40 },
    [1, 4],
  ),
  "one-rescue-a-run": hunt(["made-master-by-hand"], /made by hand on a\d, is in no rescue/, {
    ackReplicas: 0,
    leaseMs: 200,
    downAfterMs: 200,
    faultEveryMs: 200,
  }),
  "lapsed-pause-counts": hunt(["cut-hangs"], TORN, CUTS),
  "lifted-pause-counts": hunt(["cut-unpaused-by-hand"], TORN, CUTS),
  "sampled-one-by-one": hunt(["cut-slow"], TORN, CUTS),
  "fence-off": hunt(["stale-alpha"], STALE_ACT, {
    leaseMs: 200,
    downAfterMs: 400,
    faultEveryMs: 500,
  }),
  "wait-lies": hunt(["no-witness"], LOST, BRISK),
  "serves-at-start": hunt(["master-kill"], /served a write and nobody had promoted it/, {
    faultEveryMs: 200,
  }),
  "fsync-off": hunt(
    ["status-kill", "alpha-kill"],
    /without knowing|for chosen|two values|both lead/,
    { faultEveryMs: 60 },
  ),
  "router-believes-one": hunt(
    ["master-kill"],
    /follows view \S+, which is not chosen/,
    { faultEveryMs: 200 },
    [2, 4],
  ),
  "suspension-ignored": hunt(["router-unaware"], LATE_WRITE, { ...BRISK, ackReplicas: 0 }),
  "lease-ignored": hunt(["router-unaware"], LATE_WRITE, { ...BRISK, ackReplicas: 0 }),
};
