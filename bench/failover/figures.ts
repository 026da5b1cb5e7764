// figures.ts: what is computed from what the writers saw. Pure.
//
//   acknowledged   | | | | |                    | | | |
//   time        ───────────── kill ─────────────────────▶
//                        └───── unavailable ─────┘

/** Times of acknowledged writes of one connection, rising, in ms of one clock. */
export type AckTimes = readonly number[];

/**
 * The longest time in ms without an acknowledged write that ends after `killMs`; undefined when nothing was acknowledged
 * after it. The longest, not the first: what was acknowledged a moment before the kill may be read a moment after it,
 * and a master that is restarted at once may answer for a moment before it is stopped again.
 */
export function longestGap(acks: AckTimes, killMs: number): number | undefined {
  let longest: number | undefined;
  for (let index = 1; index < acks.length; index++) {
    const endMs = acks[index] ?? 0;
    if (endMs <= killMs) continue;
    const gapMs = endMs - (acks[index - 1] ?? 0);
    if (longest === undefined || gapMs > longest) longest = gapMs;
  }
  return longest;
}

/** The middle value; of an even number of values the higher of the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** One kill as it was seen from outside. Times in ms. */
export interface Trial {
  readonly contender: string;
  readonly kind: string;
  readonly index: number;
  /** Of the killed partition, by the writer that writes every 5 ms; null: nothing was acknowledged any more. */
  readonly gapMs: number | null;
  /** The same of the writer that sends batches. */
  readonly batchGapMs: number | null;
  /** Of a partition that lost nothing; null where there is none. */
  readonly elsewhereGapMs: number | null;
  readonly acknowledged: number;
  /** Acknowledged, and gone when everything has healed. */
  readonly lost: number;
  /** Error replies and broken connections, by their first word. */
  readonly errors: Readonly<Record<string, number>>;
  /** From the end of the fault until all nodes serve again in their roles. */
  readonly healMs: number;
  /** What the contender's own log said after the kill: "+120 +promote ...". */
  readonly timeline: readonly string[];
}

export interface Row {
  readonly contender: string;
  readonly kind: string;
  readonly kills: number;
  readonly medianMs: number;
  readonly worstMs: number;
  readonly batchMedianMs: number;
  readonly elsewhereWorstMs: number | null;
  readonly acknowledged: number;
  readonly lost: number;
  /** Kills after which something was lost. */
  readonly killsWithLoss: number;
  readonly lostWorst: number;
  /** Kills after which nothing was acknowledged any more. */
  readonly never: number;
}

/** One row for each contender and kind, in the order in which they first appear. */
export function summarize(trials: readonly Trial[]): Row[] {
  const groups = new Map<string, Trial[]>();
  for (const trial of trials) {
    const key = `${trial.kind} ${trial.contender}`;
    groups.set(key, [...(groups.get(key) ?? []), trial]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [rowOf(first, group)];
  });
}

function rowOf(first: Trial, group: readonly Trial[]): Row {
  const gaps = group.map((trial) => trial.gapMs ?? Number.POSITIVE_INFINITY);
  const elsewhere = group.flatMap(({ elsewhereGapMs }) =>
    elsewhereGapMs === null ? [] : [elsewhereGapMs],
  );
  return {
    contender: first.contender,
    kind: first.kind,
    kills: group.length,
    medianMs: median(gaps),
    worstMs: Math.max(...gaps),
    batchMedianMs: median(group.map((trial) => trial.batchGapMs ?? Number.POSITIVE_INFINITY)),
    elsewhereWorstMs: elsewhere.length === 0 ? null : Math.max(...elsewhere),
    acknowledged: group.reduce((sum, trial) => sum + trial.acknowledged, 0),
    lost: group.reduce((sum, trial) => sum + trial.lost, 0),
    killsWithLoss: group.filter((trial) => trial.lost > 0).length,
    lostWorst: Math.max(...group.map((trial) => trial.lost)),
    never: group.filter((trial) => trial.gapMs === null).length,
  };
}
