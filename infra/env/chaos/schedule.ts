// schedule.ts: the faults of a chaos run and their order, computed from the seed alone. Pure.
//
//   twine.conf, seed ──▶ fault, fault, fault ...     one at a time: the cluster is OK again before the next one
//
// One at a time, and only nodes that the cluster can lose, because the settings give guarantees only for that.
import { nodesOf, type ClusterConfig } from "../../../runtime/core/cluster.ts";
import type { SeededRandom } from "../../../runtime/ports/seeded-random.ts";

/** master: the node that is master of that partition when the fault begins. */
export type FaultTarget =
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "master"; readonly partition: number };

/**
 * all: every other process. nodes: data nodes, status nodes and monitors; routers and applications still reach it.
 * sends, receives: only what the node sends is lost, or only what it receives.
 */
export interface Cut {
  readonly from: "all" | "nodes";
  readonly way: "both" | "sends" | "receives";
}

/** kill: SIGKILL, and a restart `forMs` later. pause: SIGSTOP for `forMs`. cut: off the network for `forMs`. */
export type FaultKind =
  { readonly kind: "kill" | "pause" } | { readonly kind: "cut"; readonly cut: Cut };

export type Fault = FaultKind & {
  readonly target: FaultTarget;
  readonly forMs: number;
  /** The pause before the next fault, after the cluster is OK again. */
  readonly restMs: number;
};

export interface FaultTargets {
  readonly targets: readonly FaultTarget[];
  /** Nodes that get no fault, with the reason; one line each. */
  readonly leftAlone: readonly string[];
}

/** A limit for the memory; a longer report would not be readable. */
const FAULTS_MAX = 10_000;
const KILLED_MIN_MS = 500;
const KILLED_MAX_MS = 4000;
const REST_MIN_MS = 300;
const REST_MAX_MS = 2000;
/** The master has as many entries as the other nodes of its partition together: half of the faults on data hit masters. */
const VOTERS_MIN = 3;

/** The nodes of which the cluster can lose one without breaking a guarantee. */
export function faultTargets(config: ClusterConfig): FaultTargets {
  const targets: FaultTarget[] = [];
  const leftAlone: string[] = [];
  for (let partition = 0; partition < config.settings.partitions; partition++) {
    const nodes = nodesOf(config, "data").filter((node) => node.partition === partition);
    if (nodes.length < 2) {
      leftAlone.push(`the data node of partition ${partition}: it has no replica`);
      continue;
    }
    for (const { name } of nodes) {
      targets.push({ kind: "node", node: name }, { kind: "master", partition });
    }
  }
  for (const kind of ["status", "monitor"] as const) {
    const nodes = nodesOf(config, kind);
    if (nodes.length >= VOTERS_MIN) targets.push(...nodes.map(({ name }) => nodeTarget(name)));
    else
      leftAlone.push(
        `the ${kind} nodes: ${nodes.length} can lose none`.replace("monitor nodes", "monitors"),
      );
  }
  const routers = nodesOf(config, "router");
  if (routers.length >= 2) targets.push(...routers.map(({ name }) => nodeTarget(name)));
  else leftAlone.push("the router: its clients have no other");
  return { targets, leftAlone };
}

function nodeTarget(node: string): FaultTarget {
  return { kind: "node", node };
}

/**
 * The faults of a run that takes `durationMs` if the cluster recovers at once; empty without targets. Without cuts, the
 * kills and pauses of a seed stay the same, in the same order.
 */
export function chaosSchedule(
  config: ClusterConfig,
  random: SeededRandom,
  durationMs: number,
  { hasCuts }: { readonly hasCuts: boolean },
): Fault[] {
  const { targets } = faultTargets(config);
  if (targets.length === 0) return [];
  const faults: Fault[] = [];
  const { downAfterMs } = config.settings;
  for (let takenMs = 0; takenMs < durationMs && faults.length < FAULTS_MAX;) {
    const what = kindOf(random);
    const target = random.pick(targets);
    // A pause or a cut may be too short to count as a failure, or much longer.
    const forMs =
      what.kind === "kill"
        ? between(random, KILLED_MIN_MS, KILLED_MAX_MS)
        : between(random, Math.ceil(downAfterMs / 2), 3 * downAfterMs + 1000);
    const restMs = between(random, REST_MIN_MS, REST_MAX_MS);
    if (what.kind === "cut" && !hasCuts) continue;
    faults.push({ ...what, target, forMs, restMs });
    takenMs += forMs + restMs;
  }
  return faults;
}

function kindOf(random: SeededRandom): FaultKind {
  const kind = random.pick(["kill", "pause", "cut"] as const);
  if (kind !== "cut") return { kind };
  const from = random.pick(["all", "nodes"] as const);
  // Half of them both ways: that is what a pulled cable does.
  const way = random.pick(["both", "both", "sends", "receives"] as const);
  return { kind, cut: { from, way } };
}

function between(random: SeededRandom, minMs: number, maxMs: number): number {
  return minMs + random.below(maxMs - minMs + 1);
}
