// candidates.ts: sorts a partition's data nodes by whether they can be promoted. Pure.
import { isForeign, type NodeInfo } from "../nodes/info.ts";
import { isNewerVersion } from "../../../core/server-versions.ts";
import type { PartitionInput } from "../partition-input.ts";
import type { Rules } from "../rules.ts";

export interface Candidate {
  readonly name: string;
  readonly info: NodeInfo;
}

export interface Candidates {
  /** Answer, have loaded their data, and their disk takes writes: only these are ever promoted. */
  readonly ready: readonly Candidate[];
  /** Answer, but are still loading their data. */
  readonly loading: readonly Candidate[];
  /** Answer, but lost their data to a full sync that never ended: waiting does not help. */
  readonly emptied: readonly Candidate[];
  /** Answer, but could not write their last AOF or RDB. */
  readonly brokenDisk: readonly Candidate[];
  /** Answer, but follow a master outside this cluster, over a link that is up. */
  readonly foreign: readonly Candidate[];
  /** Names of nodes that don't answer or are stale. */
  readonly away: readonly string[];
}

/** Each list keeps the order of the input's nodes: first to last. */
export function candidatesOf(input: PartitionInput): Candidates {
  const ready: Candidate[] = [];
  const loading: Candidate[] = [];
  const emptied: Candidate[] = [];
  const brokenDisk: Candidate[] = [];
  const foreign: Candidate[] = [];
  const away: string[] = [];
  for (const { name } of input.nodes) {
    const health = input.nodeHealth.get(name);
    if (health?.kind !== "up" || input.stale.has(name)) {
      away.push(name);
      continue;
    }
    const { info } = health;
    const listOf = (): Candidate[] => {
      if (info.isLoading) return loading;
      if (info.isLinkUp && isForeign(info, input.dataNodes)) return foreign;
      if (info.isEmptied) return emptied;
      return info.isDiskWell ? ready : brokenDisk;
    };
    listOf().push({ name, info });
  }
  return { ready, loading, emptied, brokenDisk, foreign, away };
}

/** The candidate with the highest offset. On a tie: not a newer version than another, then `preferred`, then the first. */
export function bestOffset(
  candidates: readonly Candidate[],
  preferred: string | null,
  { furthestOf }: Rules,
): Candidate | undefined {
  const furthest = furthestOf(candidates.map(({ info }) => info.offset));
  const tied = candidates.filter(({ info }) => info.offset === furthest);
  // An older node may not understand the stream of a newer master.
  const isOldest = ({ info }: Candidate): boolean =>
    !tied.some((other) => isNewerVersion(info.version, other.info.version));
  const best = tied.filter(isOldest);
  return best.find(({ name }) => name === preferred) ?? best[0];
}

/** "a1 follows 10.0.0.9:6379, which ...": a part of a partition's `needs`. */
export function foreignText(foreign: readonly Candidate[]): string {
  const each = foreign.map(({ name, info }) => {
    const { host, port } = info.following ?? { host: "", port: 0 };
    return `${name} follows ${host}:${port}`;
  });
  return `${each.join(", ")}, which is no node of this cluster; send REPLICAOF 127.0.0.1 1 to let the cluster have it`;
}
