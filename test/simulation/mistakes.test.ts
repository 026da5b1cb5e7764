import { describe, expect, test } from "vitest";
import { MISTAKES, type Mistake } from "./mistakes.ts";
import type { Scenario } from "./scenario.ts";
import { simulate } from "./simulate.ts";

const LONG_MS = 300_000;

describe("a world that breaks one rule is found out", () => {
  const three: Partial<Scenario> = {
    partitions: 1,
    nodesPerPartition: 3,
    monitors: 3,
    statusNodes: 3,
    ackReplicas: 1,
    persistence: "aof",
    chaosMs: 4000,
  };
  const hunts: readonly {
    readonly mistake: Mistake;
    readonly scenario: Partial<Scenario>;
    readonly found: RegExp;
  }[] = [
    {
      mistake: "fence-off",
      scenario: { leaseMs: 200, downAfterMs: 400, faultEveryMs: 500, kinds: ["stale-alpha"] },
      found: /acted on a\d after epoch \d+ had fenced it/,
    },
    {
      mistake: "quorum-of-one",
      scenario: { kinds: [] },
      found: /took view \S+ for chosen|both lead epoch|without knowing/,
    },
    {
      mistake: "oldest-replica",
      scenario: {
        // Replicas of a master that falls silent stand where their slow streams have left them.
        weather: { leastMs: 2, spreadMs: 10, slowOneIn: 20, lostOneIn: 0, repeatedOneIn: 0 },
        leaseMs: 200,
        downAfterMs: 200,
        faultEveryMs: 500,
        writeEveryMs: 5,
        kinds: ["master-pause"],
      },
      found: /lacks \d+ of \d+ acknowledged writes/,
    },
    {
      mistake: "wait-lies",
      scenario: { faultEveryMs: 200, kinds: ["data-pause", "master-kill", "master-pause"] },
      found: /lacks \d+ of \d+ acknowledged writes/,
    },
    {
      mistake: "serves-at-start",
      scenario: { faultEveryMs: 200, kinds: ["master-kill"] },
      found: /served a write and nobody had promoted it/,
    },
    {
      mistake: "fsync-off",
      scenario: { faultEveryMs: 60, kinds: ["status-kill", "alpha-kill"] },
      found: /without knowing|for chosen|two values|both lead/,
    },
    {
      mistake: "router-believes-one",
      scenario: { faultEveryMs: 200, kinds: ["master-kill"] },
      found: /follows view \S+, which is not chosen/,
    },
    {
      mistake: "lease-ignored",
      scenario: {
        ackReplicas: 0,
        leaseMs: 200,
        downAfterMs: 200,
        faultEveryMs: 500,
        kinds: ["split"],
      },
      found: /executed a write that was sent when a\d was master/,
    },
  ];

  test("every mistake is hunted", () => {
    expect(hunts.map(({ mistake }) => mistake).sort()).toEqual(Object.keys(MISTAKES).sort());
  });

  test.each(hunts)("$mistake, within 60 seeds", { timeout: LONG_MS }, async (hunt) => {
    const { mistake, found } = hunt;
    const scenario = { ...three, ...hunt.scenario };
    const others: string[] = [];
    for (let seed = 1; seed <= 60; seed++) {
      const { violations } = await simulate({ seed, mistake, scenario });
      if (violations.some((text) => found.test(text))) {
        // It is the mistake that was found: without it the same seed breaks nothing.
        const honest = await simulate({ seed, scenario });
        expect(honest.violations).toEqual([]);
        return;
      }
      others.push(...violations);
    }
    expect.unreachable(`${mistake} was not found; seen instead: ${others.join("; ")}`);
  });
});
