// scenario.ts: what a seed stands for: the size of the cluster, its settings, its weather and what befalls it.
// Each run has only some kinds of faults: a fault that always hides another would never let it be seen.
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Persistence } from "./disk.ts";
import { FAULT_KINDS, type FaultKind } from "./fault-kinds.ts";
import type { Mistake } from "./mistakes.ts";
import type { Weather } from "./network.ts";

export interface Scenario {
  readonly partitions: number;
  readonly nodesPerPartition: number;
  readonly statusNodes: number;
  readonly monitors: number;
  readonly routers: number;
  readonly ackReplicas: number;
  readonly leaseMs: number;
  readonly downAfterMs: number;
  readonly persistence: Persistence;
  readonly saveEveryMs: number;
  /** In writes. */
  readonly backlogSize: number;
  readonly fsyncMs: number;
  /** The longest that half of a full sync takes. */
  readonly syncMs: number;
  /** Clocks run up to that much too fast or too slow; 0.01 is one percent. */
  readonly drift: number;
  readonly writeEveryMs: number;
  readonly weather: Weather;
  readonly chaosMs: number;
  readonly faultEveryMs: number;
  readonly kinds: readonly FaultKind[];
  readonly mistake: Mistake | undefined;
}

export function drawScenario(random: SeededRandom, mistake: Mistake | undefined): Scenario {
  const nodesPerPartition = random.pick([1, 2, 2, 3, 3, 3, 3]);
  const replicas = nodesPerPartition - 1;
  const leaseMs = random.pick([200, 300, 500]);
  const leastMs = random.pick([0.1, 0.5, 2]);
  const isRough = random.isOnceIn(2);
  return {
    partitions: random.pick([1, 1, 2]),
    nodesPerPartition,
    statusNodes: random.pick([1, 3, 3, 3, 3, 5]),
    monitors: random.pick([1, 2, 3, 3, 3]),
    routers: random.pick([1, 1, 2]),
    ackReplicas: Math.min(replicas, random.pick([0, 1, 1, 1, 2])),
    leaseMs,
    downAfterMs: leaseMs * random.pick([1, 2]),
    persistence: random.pick<Persistence>(["aof", "aof", "aof", "rdb", "none"]),
    saveEveryMs: random.pick([300, 1000, 60_000]),
    backlogSize: random.pick([20, 200, 10_000]),
    fsyncMs: random.pick([0.1, 1, 5]),
    syncMs: random.pick([5, 50, 200]),
    drift: random.pick([0, 0.005, 0.02]),
    writeEveryMs: random.pick([20, 40, 80]),
    weather: {
      leastMs,
      spreadMs: leastMs * random.pick([1, 5]),
      slowOneIn: isRough ? random.pick([20, 100]) : 0,
      lostOneIn: isRough ? random.pick([30, 200]) : 0,
      repeatedOneIn: isRough ? random.pick([30, 200]) : 0,
    },
    chaosMs: random.pick([1500, 3000, 4000]),
    faultEveryMs: random.pick([100, 250, 500]),
    kinds: FAULT_KINDS.filter(() => random.isOnceIn(3)),
    mistake,
  };
}

/** The twine.conf of a scenario: the nodes of a partition on hosts of their own. */
export function confOf(scenario: Scenario): string {
  const lines: string[] = [];
  for (let partition = 0; partition < scenario.partitions; partition++) {
    for (let index = 1; index <= scenario.nodesPerPartition; index++) {
      const name = `${"abcdefgh"[partition] ?? "z"}${index}`;
      lines.push(`${name}=data ${partition} h${index} ${7000 + 10 * partition + index} 0`);
    }
  }
  for (let index = 1; index <= scenario.statusNodes; index++) {
    lines.push(`s${index}=status h${index} ${7100 + index} 0`);
  }
  for (let index = 1; index <= scenario.monitors; index++) {
    lines.push(`m${index}=monitor h${index} ${7200 + index}`);
  }
  for (let index = 1; index <= scenario.routers; index++) {
    lines.push(`r${index}=router c${index} ${7300 + index}`);
  }
  lines.push(
    "cluster twine",
    `partitions ${scenario.partitions}`,
    `lease ${scenario.leaseMs}ms`,
    `down-after ${scenario.downAfterMs}ms`,
    `ack-replicas ${scenario.ackReplicas}`,
    "ack-timeout 500ms",
  );
  return lines.join("\n");
}

export function configOf(scenario: Scenario): ClusterConfig {
  const { config, errors } = parseConf(confOf(scenario), "twine.conf");
  if (config === undefined) throw new Error(JSON.stringify(errors));
  return config;
}
