// planned.ts: what people want changed while everything works: handovers, and nodes that leave twine.conf. Pure.
// Comes before the rules of each partition: a partition in whose handover a step is under way is left to that, all others
// go the usual way.
import type { Settings } from "../../core/cluster.ts";
import type { Request } from "../../core/request.ts";
import type { PartitionView, View } from "../../core/view.ts";
import { dataNodesByPartition } from "./by-partition.ts";
import { attemptMsOf, decideHandover, type HandoverStep } from "./handover.ts";
import { decideHandoverRequests, refusedAfterFailure } from "./handover-wish.ts";
import type { Pauses } from "./pauses.ts";
import { decideRetirement, type RetireMarks } from "./retire.ts";
import { unsettledOf } from "./settled.ts";
import type { Standing } from "./standing.ts";

/** What this alpha remembers of what is under way. A successor starts with none, and loses only time. */
export interface PlanMemory {
  /** partition -> the handover in the view, and since when this alpha has seen it. */
  readonly handovers: ReadonlyMap<number, { readonly names: string; readonly sinceMs: number }>;
  readonly retirements: RetireMarks;
  /** partition -> when a handover there failed last. */
  readonly failures: ReadonlyMap<number, number>;
}

export const NO_PLANS: PlanMemory = {
  handovers: new Map(),
  retirements: new Map(),
  failures: new Map(),
};

/** A handover that nobody waits for is tried again after so many times down-after: every attempt costs clients time. */
const PATIENCE = 10;

export interface PlannedInput {
  /** With the nodes of an edit of twine.conf that is under way. */
  readonly view: View;
  readonly standings: ReadonlyMap<string, Standing>;
  readonly requests: readonly Request[];
  readonly pauses: Pauses;
  /** node -> since when nothing is on its way to it. */
  readonly quietSinceMs: ReadonlyMap<string, number>;
  readonly memory: PlanMemory;
  readonly settings: Pick<Settings, "downAfterMs" | "holdForMs" | "ackReplicas">;
  readonly nowMs: number;
}

export interface Planned {
  /** By partition: with which view of it the usual rules go on, or that they don't. */
  readonly steps: ReadonlyMap<number, HandoverStep>;
  /** Names of data nodes that leave the view now. */
  readonly gone: ReadonlySet<string>;
  readonly answers: readonly Request[];
  /** What leaving nodes wait for; empty when none does. */
  readonly why: string;
  readonly memory: PlanMemory;
}

const NOBODY: ReadonlySet<string> = new Set();

export function decidePlanned(input: PlannedInput): Planned {
  const { view, standings, requests, pauses, settings, nowMs } = input;
  const byPartition = dataNodesByPartition(view.nodes);
  const wishInput = { view, standings, nowMs, freshMs: settings.downAfterMs / 2 };
  const asked = decideHandoverRequests(requests, wishInput);
  const steps = new Map<number, HandoverStep>();
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
      standings,
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
    const step = decideHandover({
      partition,
      nodes,
      standings,
      pauses,
      unsettled: isIdle ? NOBODY : unsettledOf(nodes, standings, input.quietSinceMs),
      wish: asked.wishes.get(partition.index) ?? (isPatient ? undefined : retirement.wish),
      nowMs,
      sinceMs,
      attemptMs: attemptMsOf(settings),
    });
    steps.set(partition.index, step);
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

/** Which handover it is, whatever its phase. */
function namesOf({ handover }: PartitionView): string {
  return handover === null || handover === undefined ? "" : `${handover.from} ${handover.to}`;
}
