// figures.ts: what is computed from trials, and what a trial may not show. Pure.
import { median } from "../failover/figures.ts";
import type { ExamName, Faults } from "./exams.ts";

/** What all clients of one exam saw. */
export interface Group {
  readonly exam: ExamName;
  readonly replies: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly faults: Faults;
}

/** One loss of a master. Times in ms; null: nothing was acknowledged any more. */
export interface Trial {
  readonly kind: string;
  readonly load: string;
  readonly policy: string;
  readonly ackReplicas: number;
  readonly index: number;
  /** Of the partition whose master went, by the writer that writes every 5 ms. */
  readonly gapMs: number | null;
  /** The same of the writer of values. */
  readonly pipelineGapMs: number | null;
  /** The longest of the partitions to which nothing was done. */
  readonly elsewhereGapMs: number | null;
  readonly here: readonly Group[];
  readonly elsewhere: readonly Group[];
  readonly benchmarkCount: number;
  /** First words of the errors at which redis-benchmark ended. */
  readonly benchmarkEnds: readonly string[];
  /** What monitors and router said since. */
  readonly timeline: readonly string[];
}

export interface Row {
  readonly kind: string;
  readonly load: string;
  readonly policy: string;
  readonly ackReplicas: number;
  readonly trials: number;
  readonly medianMs: number;
  readonly worstMs: number;
  readonly pipelineMedianMs: number;
  readonly elsewhereWorstMs: number;
  readonly replies: number;
  /** By exam and first word: "counter UNCERTAIN". */
  readonly errors: Readonly<Record<string, number>>;
  readonly faults: Faults;
  readonly trialsWithLoss: number;
  readonly benchmarkCount: number;
  readonly benchmarkEnds: Readonly<Record<string, number>>;
  /** Trials that showed what they may not. */
  readonly violations: number;
}

/** One row for each kind, load and setting, in the order in which they first appear. */
export function summarize(trials: readonly Trial[]): Row[] {
  const groups = new Map<string, Trial[]>();
  for (const trial of trials) {
    const key = [trial.policy, trial.ackReplicas, trial.load, trial.kind].join(" ");
    groups.set(key, [...(groups.get(key) ?? []), trial]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [rowOf(first, group)];
  });
}

function rowOf(first: Trial, trials: readonly Trial[]): Row {
  const { kind, load, policy, ackReplicas } = first;
  const gaps = (of: (trial: Trial) => number | null): number[] =>
    trials.map((trial) => of(trial) ?? Number.POSITIVE_INFINITY);
  const groups = trials.flatMap(({ here, elsewhere }) => [...here, ...elsewhere]);
  const words = groups.flatMap(({ exam, errors }) =>
    Object.entries(errors).map(([word, count]): [string, number] => [`${exam} ${word}`, count]),
  );
  return {
    kind,
    load,
    policy,
    ackReplicas,
    trials: trials.length,
    medianMs: median(gaps(({ gapMs }) => gapMs)),
    worstMs: Math.max(...gaps(({ gapMs }) => gapMs)),
    pipelineMedianMs: median(gaps(({ pipelineGapMs }) => pipelineGapMs)),
    elsewhereWorstMs: Math.max(...gaps(({ elsewhereGapMs }) => elsewhereGapMs)),
    replies: sumOf(groups.map(({ replies }) => replies)),
    errors: tally(words),
    faults: {
      lost: sumOf(groups.map(({ faults }) => faults.lost)),
      doubled: sumOf(groups.map(({ faults }) => faults.doubled)),
      ahead: sumOf(groups.map(({ faults }) => faults.ahead)),
    },
    trialsWithLoss: trials.filter((trial) => lostIn(trial) > 0).length,
    benchmarkCount: sumOf(trials.map(({ benchmarkCount }) => benchmarkCount)),
    benchmarkEnds: tally(
      trials.flatMap(({ benchmarkEnds }) =>
        benchmarkEnds.map((word): [string, number] => [word, 1]),
      ),
    ),
    violations: trials.filter((trial) => violationsOf(trial).length > 0).length,
  };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function tally(words: readonly (readonly [string, number])[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [word, count] of words) counts[word] = (counts[word] ?? 0) + count;
  return counts;
}

function lostIn({ here, elsewhere }: Trial): number {
  return sumOf([...here, ...elsewhere].map(({ faults }) => faults.lost));
}

/**
 * What the trial shows and may not:
 * 1. nothing is executed twice, and no read shows what was written behind it, but for one that was repeated with
 *    `retry-unknown idempotent`;
 * 2. where nothing was done, and in a planned handover, there is no error and nothing is lost;
 * 3. the only error is UNCERTAIN (an MSET of which only parts are unknown gets PARTIAL);
 * 4. with `retry-unknown idempotent` only what may not be done twice gets it;
 * 5. with `ack-replicas` nothing that was acknowledged is lost.
 */
export function violationsOf(trial: Trial): string[] {
  const { here, elsewhere, kind, policy, ackReplicas } = trial;
  const mayBeAhead = policy === "idempotent" && kind !== "handover";
  const found: string[] = [];
  for (const { exam, faults } of [...here, ...elsewhere]) {
    if (faults.doubled > 0) found.push(`${exam}: ${faults.doubled} executed twice`);
    if (faults.ahead > 0 && !mayBeAhead)
      found.push(`${exam}: ${faults.ahead} reads from behind their place`);
  }
  if (kind === "handover") {
    found.push(...errorsIn("", here), ...losses("", here));
    if (trial.benchmarkEnds.length > 0)
      found.push(`benchmark ended: ${String(trial.benchmarkEnds)}`);
  } else {
    found.push(...here.flatMap((group) => forbiddenErrors(trial, group)));
    found.push(...trial.benchmarkEnds.flatMap((word) => forbiddenEnd(trial, word)));
    if (ackReplicas > 0) found.push(...losses("", here));
  }
  return [...found, ...errorsIn("elsewhere ", elsewhere), ...losses("elsewhere ", elsewhere)];
}

function errorsIn(where: string, groups: readonly Group[]): string[] {
  return groups.flatMap(({ exam, errors }) =>
    Object.entries(errors).map(([word, count]) => `${where}${exam}: ${count} ${word}`),
  );
}

function losses(where: string, groups: readonly Group[]): string[] {
  return groups.flatMap(({ exam, faults }) =>
    faults.lost > 0 ? [`${where}${exam}: ${faults.lost} lost`] : [],
  );
}

function forbiddenErrors({ policy }: Trial, { exam, errors }: Group): string[] {
  const allowed = (ALLOWED[exam] ?? {})[policy];
  return Object.entries(errors).flatMap(([word, count]) =>
    word === allowed ? [] : [`${exam}: ${count} ${word}`],
  );
}

/** By exam and policy, the one error that a loss may bring. Reads get none under either. */
const ALLOWED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  probe: { reads: "UNCERTAIN" },
  values: { reads: "UNCERTAIN" },
  wide: { reads: "PARTIAL" },
  counter: { reads: "UNCERTAIN", idempotent: "UNCERTAIN" },
  register: { reads: "UNCERTAIN" },
};

function forbiddenEnd({ policy }: Trial, word: string): string[] {
  const isAllowed = policy === "reads" && (word === "UNCERTAIN" || word === "PARTIAL");
  return isAllowed ? [] : [`benchmark ended: ${word}`];
}
