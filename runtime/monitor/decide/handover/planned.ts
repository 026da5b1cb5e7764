// planned.ts: planned changes while everything works: handovers, and nodes that were removed from twine.conf. Pure.
// Runs before the rules of each partition. They skip a partition whose handover is under way.
import type { Settings } from "../../../core/cluster.ts";
import type { Request } from "../../../core/request.ts";
import type { PartitionView, View } from "../../../core/view.ts";
import { dataNodesByPartition } from "../by-partition.ts";
import { attemptMsOf, decideHandover, type HandoverStep } from "./handover.ts";
import { decideHandoverRequests, refusedAfterFailure, ownWish } from "./handover-wish.ts";
import { decideRetirement, type RetireMarks } from "./retire.ts";
import { staleNodesOf } from "../nodes/stale-nodes.ts";
import type { NodeHealth } from "../nodes/node-health.ts";
import type { ReshardMemory } from "../reshard/reshard.ts";
import type { RestoreBeat } from "../restore.ts";

/** This alpha's memory of planned changes. A new alpha starts without it, and only loses time. */
export interface PlanMemory {
  /** partition -> its handover in the view, and when this alpha first saw it. */
  readonly handovers: ReadonlyMap<number, { readonly names: string; readonly sinceMs: number }>;
  readonly retirements: RetireMarks;
  /** partition -> when its last handover failed. */
  readonly failures: ReadonlyMap<number, number>;
  /** Of the restore under way. */
  readonly restoreBeat?: RestoreBeat | undefined;
  /** Of the resharding under way. */
  readonly reshard?: ReshardMemory | undefined;
}

export const NO_PLANS: PlanMemory = {
  handovers: new Map(),
  retirements: new Map(),
  failures: new Map(),
};

/** A handover without a request is tried again after this many times down-after, because every attempt delays clients. */
const PATIENCE = 10;

export interface PlannedInput {
  /** Includes the nodes of an edit of twine.conf that is under way. */
  readonly view: View;
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly requests: readonly Request[];
  /** node -> since when no command can still reach it. */
  readonly acknowledgedAtMs: ReadonlyMap<string, number>;
  readonly memory: PlanMemory;
  readonly settings: Pick<Settings, "downAfterMs" | "holdForMs" | "ackReplicas">;
  readonly nowMs: number;
}

export interface Planned {
  /** By partition: the partition for the usual rules, or its next view while a handover is under way. */
  readonly steps: ReadonlyMap<number, HandoverStep>;
  /** Names of nodes that may be promoted under the view's handover. */
  readonly takingOver: ReadonlySet<string>;
  /** Names of data nodes that leave the view now. */
  readonly gone: ReadonlySet<string>;
  readonly answers: readonly Request[];
  /** What retiring nodes wait for; empty when none waits. */
  readonly why: string;
  readonly memory: PlanMemory;
}

const NOBODY: ReadonlySet<string> = new Set();

export function decidePlanned(input: PlannedInput): Planned {
  const { view, nodeHealth, requests, settings, nowMs } = input;
  const byPartition = dataNodesByPartition(view.nodes);
  const wishInput = { view, nodeHealth, nowMs, freshMs: settings.downAfterMs / 2 };
  const asked = decideHandoverRequests(requests, wishInput);
  const steps = new Map<number, HandoverStep>();
  const takingOver = new Set<string>();
  const failed = new Map<number, string>();
  const handovers = new Map<number, { names: string; sinceMs: number }>();
  const gone = new Set<string>();
  const reasons: string[] = [];
  const failures = new Map(input.memory.failures);
  let retirements = input.memory.retirements;
  for (const partition of view.partitions) {
    const nodes = byPartition.get(partition.index) ?? [];
    const retirement = decideRetirement({
      partition,
      nodes,
      nodeHealth,
      marks: retirements,
      nowMs,
      freshMs: wishInput.freshMs,
      ackReplicas: settings.ackReplicas,
    });
    retirements = retirement.marks;
    for (const name of retirement.gone) gone.add(name);
    if (retirement.why !== "") reasons.push(retirement.why);
    const sinceMs = sinceOf(partition, input);
    const failedAtMs = failures.get(partition.index) ?? -Infinity;
    const isPatient = nowMs - failedAtMs < PATIENCE * settings.downAfterMs;
    const isIdle = (partition.handover ?? null) === null;
    const alphasWish = (): string | undefined =>
      retirement.wish ?? ownWish(partition, nodes, wishInput);
    const step = decideHandover({
      partition,
      nodes,
      nodeHealth,
      stale: isIdle ? NOBODY : staleNodesOf(nodes, nodeHealth, input.acknowledgedAtMs),
      wish: asked.wishes.get(partition.index) ?? (isPatient ? undefined : alphasWish()),
      nowMs,
      sinceMs,
      attemptMs: attemptMsOf(settings),
    });
    steps.set(partition.index, step);
    if (step.kind === "under-way" && step.promotes !== undefined) takingOver.add(step.promotes);
    if (step.kind === "usual" && step.failed !== "") {
      failed.set(partition.index, step.failed);
      failures.set(partition.index, nowMs);
    }
    const names = namesOf(step.partition);
    if (names !== "") handovers.set(partition.index, { names, sinceMs });
  }
  const refused = refusedAfterFailure(requests, view, failed);
  return {
    steps,
    takingOver,
    gone,
    answers: [...asked.answers, ...refused],
    why: reasons.join("; "),
    memory: { handovers, retirements, failures },
  };
}

function sinceOf(partition: PartitionView, { memory, nowMs }: PlannedInput): number {
  const known = memory.handovers.get(partition.index);
  return known?.names === namesOf(partition) ? known.sinceMs : nowMs;
}

/** Identifies the handover, without its phase. */
function namesOf({ handover }: PartitionView): string {
  return handover === null || handover === undefined ? "" : `${handover.from} ${handover.to}`;
}
