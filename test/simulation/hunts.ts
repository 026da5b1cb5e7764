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

export const HUNTS: Readonly<Record<Mistake, Hunt>> = {
  "quorum-of-one": {
    scenario: { ...THREE, kinds: [] },
    found: /took view \S+ for chosen|both lead epoch|without knowing/,
    seeds: [1, 3],
  },
  "one-replica-is-enough": {
    scenario: {
      ...THREE,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 500,
      writeEveryMs: 10,
      kinds: ["witness-kill"],
    },
    found: LOST,
    seeds: [1, 3],
  },
  "lease-not-waited-out": {
    scenario: {
      ...THREE,
      ackReplicas: 0,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 500,
      writeEveryMs: 10,
      kinds: ["router-unaware"],
    },
    found: LATE_WRITE,
    seeds: [1, 3],
  },
  "lowest-offset": {
    scenario: {
      ...THREE,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 500,
      writeEveryMs: 10,
      kinds: ["one-witness"],
    },
    found: LOST,
    seeds: [1, 3],
  },
  "compared-while-moving": {
    scenario: {
      ...THREE,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 500,
      writeEveryMs: 5,
      kinds: ["master-wakes"],
    },
    found: LOST,
    seeds: [1, 3],
  },
  "drain-off": {
    scenario: {
      ...THREE,
      ackReplicas: 0,
      weather: { leastMs: 1, spreadMs: 3, slowOneIn: 5, lostOneIn: 0, repeatedOneIn: 0 },
      leaseMs: 200,
      downAfterMs: 400,
      faultEveryMs: 500,
      writeEveryMs: 5,
      kinds: ["synced-master-kill"],
    },
    found: LOST,
    seeds: [1, 4],
  },
  "lease-unchecked": {
    scenario: {
      ...THREE,
      weather: { leastMs: 0.5, spreadMs: 1, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 },
      fsyncMs: 20,
      leaseMs: 300,
      downAfterMs: 300,
      faultEveryMs: 500,
      kinds: ["new-alpha-sleeps"],
    },
    found: STALE_ACT,
    seeds: [1, 3],
  },
  "any-run-counts": {
    scenario: {
      ...THREE,
      persistence: "rdb",
      saveEveryMs: 300,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 500,
      writeEveryMs: 10,
      kinds: ["witness-restart"],
    },
    found: LOST,
    seeds: [1, 3],
  },
  "own-writes-count": {
    scenario: {
      ...THREE,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 150,
      writeEveryMs: 40,
      kinds: ["made-master-by-hand", "master-kill"],
    },
    found: LOST,
    seeds: [1, 4],
  },
  "one-rescue-a-run": {
    scenario: {
      ...THREE,
      ackReplicas: 0,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 200,
      kinds: ["made-master-by-hand"],
    },
    found: /made by hand on a\d, is in no rescue/,
    seeds: [1, 3],
  },
  "fence-off": {
    scenario: {
      ...THREE,
      leaseMs: 200,
      downAfterMs: 400,
      faultEveryMs: 500,
      kinds: ["stale-alpha"],
    },
    found: STALE_ACT,
    seeds: [1, 3],
  },
  "wait-lies": {
    scenario: {
      ...THREE,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 500,
      writeEveryMs: 10,
      kinds: ["no-witness"],
    },
    found: LOST,
    seeds: [1, 3],
  },
  "serves-at-start": {
    scenario: { ...THREE, faultEveryMs: 200, kinds: ["master-kill"] },
    found: /served a write and nobody had promoted it/,
    seeds: [1, 3],
  },
  "fsync-off": {
    scenario: { ...THREE, faultEveryMs: 60, kinds: ["status-kill", "alpha-kill"] },
    found: /without knowing|for chosen|two values|both lead/,
    seeds: [1, 3],
  },
  "router-believes-one": {
    scenario: { ...THREE, faultEveryMs: 200, kinds: ["master-kill"] },
    found: /follows view \S+, which is not chosen/,
    seeds: [2, 4],
  },
  "lease-ignored": {
    scenario: {
      ...THREE,
      ackReplicas: 0,
      leaseMs: 200,
      downAfterMs: 200,
      faultEveryMs: 500,
      writeEveryMs: 10,
      kinds: ["router-unaware"],
    },
    found: LATE_WRITE,
    seeds: [1, 3],
  },
};
