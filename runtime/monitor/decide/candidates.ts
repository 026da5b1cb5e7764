// candidates.ts: a partition's data nodes sorted by what can be said of them. Pure.
import type { NodeInfo } from "./info.ts";
import type { PartitionInput } from "./partition-input.ts";
import type { Rules } from "./rules.ts";

export interface Candidate {
  readonly name: string;
  readonly info: NodeInfo;
}

export interface Candidates {
  /** Answer, have their data loaded, and a disk that takes writes: only these are ever promoted. */
  readonly ready: readonly Candidate[];
  /** Answer, but still load their data. */
  readonly loading: readonly Candidate[];
  /** Answer, but lost their data to a full sync that never came to its end: there is nothing to wait for. */
  readonly emptied: readonly Candidate[];
  /** Answer, but could not write their last AOF or RDB. */
  readonly brokenDisk: readonly Candidate[];
  /** Names of those that don't answer, whatever the reason. */
  readonly away: readonly string[];
}

/** Each list first to last, as the input has the nodes. */
export function candidatesOf(input: PartitionInput): Candidates {
  const ready: Candidate[] = [];
  const loading: Candidate[] = [];
  const emptied: Candidate[] = [];
  const brokenDisk: Candidate[] = [];
  const away: string[] = [];
  for (const { name } of input.nodes) {
    const standing = input.standings.get(name);
    if (standing?.kind !== "up" || input.unsettled.has(name)) {
      away.push(name);
      continue;
    }
    const { info } = standing;
    const list = info.isLoading
      ? loading
      : info.isEmptied
        ? emptied
        : info.isDiskWell
          ? ready
          : brokenDisk;
    list.push({ name, info });
  }
  return { ready, loading, emptied, brokenDisk, away };
}

/** The candidate that is furthest; `preferred`, then the first one, on a tie. */
export function bestOffset(
  candidates: readonly Candidate[],
  preferred: string | null,
  { furthestOf }: Rules,
): Candidate | undefined {
  const furthest = furthestOf(candidates.map(({ info }) => info.offset));
  const best = candidates.filter(({ info }) => info.offset === furthest);
  return best.find(({ name }) => name === preferred) ?? best[0];
}
