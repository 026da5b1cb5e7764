// failover.ts: decides which replica replaces a lost master, and when. Pure.
//
//   "no master" chosen --> drain --> detach the replicas --> which holds enough? --> promote
//                                       (actions.ts)            |  none for certain
//                                                               +--> HALT: other rules, or a person
//
// Why detach before comparing: a replica that still follows could get more data after the comparison, and could confirm
// more writes, which the old master would then acknowledge. A detached replica does not change.
// Why R-k+1 of R: with ack-replicas k an acknowledged write is on k of the R replicas. Any R-k+1 of them include one of
// those k, and the other k-1 are too few for the old master to acknowledge more. So the furthest one among the R-k+1 holds
// every acknowledged write, whether the master is dead or not.
import type { FailoverReplica, FailoverView, NodeView } from "../../../core/view.ts";
import { bestOffset, type Candidate, type Candidates } from "./candidates.ts";
import type { Choice } from "./choice.ts";
import { isFollowing } from "../nodes/data-nodes.ts";
import type { NodeInfo } from "../nodes/info.ts";
import type { PartitionInput } from "../partition-input.ts";
import type { FenceTimes } from "../rules.ts";

/**
 * 1. No failover is recorded: this rule does not apply.
 * 2. Replicas that answer are still being detached: wait (isDetaching limits the time).
 * 3. No replica certainly holds enough: this rule does not apply, and the rules of an outage decide.
 * 4. With ack-replicas 0, a master that may still be alive accepts writes until the routers' lease ends: wait until then.
 * 5. Promote the replica with the highest offset, the first on a tie.
 */
export function failoverRule(input: PartitionInput, candidates: Candidates): Choice | undefined {
  const { ackReplicas, rules } = input;
  const failover = input.partition.failover ?? null;
  if (failover === null) return undefined;
  const candidate =
    ackReplicas === 0
      ? candidateWithoutAcks(input, failover, candidates)
      : candidateByCount(input, failover, candidates);
  if (isDetaching(input, failover, candidate !== undefined)) return { kind: "pending" };
  if (candidate === undefined) return undefined;
  if (ackReplicas === 0 && !rules.isFenced(input, failover.isKnownDead)) return { kind: "pending" };
  return { kind: "promote", node: candidate.name };
}

/** Whether the master is certainly lost: its port refuses, or another process answers there. */
export function isKnownDead(input: PartitionInput, master: string): boolean {
  const health = input.nodeHealth.get(master);
  if (health?.kind === "down") return health.isRefused;
  const runId = input.partition.masterRunId ?? null;
  return health?.kind === "up" && runId !== null && health.info.runId !== runId;
}

/** The record of the partition's replicas at the moment when its master is lost. */
export function failoverFrom(input: PartitionInput, master: string): FailoverView {
  const replicas = input.nodes
    .filter(({ name }) => name !== master)
    .map((node): FailoverReplica => {
      const wasInSync = node.role === "replica" && node.inSync;
      const runId = node.syncedRunId ?? (wasInSync ? node.runId : null);
      return { name: node.name, runId, inSync: wasInSync };
    });
  return { from: master, isKnownDead: isKnownDead(input, master), replicas };
}

/** Replicas that must not be detached yet: their link to the old master is up and may deliver more. */
export function drainingOf(
  input: Pick<PartitionInput, "partition" | "nodes" | "nodeHealth" | "rules" | keyof FenceTimes>,
): readonly string[] {
  const failover = input.partition.failover ?? null;
  const from = input.nodes.find(({ name }) => name === failover?.from);
  if (failover === null || from === undefined) return [];
  if (!input.rules.mayStillHear(input, failover.isKnownDead)) return [];
  const isReading = ({ name }: NodeView): boolean => {
    const health = input.nodeHealth.get(name);
    return health?.kind === "up" && health.info.isLinkUp && isFollowing(health.info, from);
  };
  return input.nodes.filter(isReading).map(({ name }) => name);
}

/** What else would end the wait for the last master: text that follows "M back with its data". */
export function needsOfFailover({ partition, ackReplicas, rules }: PartitionInput): string {
  const failover = partition.failover ?? null;
  if (failover === null || ackReplicas === 0 || failover.replicas.length === 0) return "";
  const names = failover.replicas.map(({ name }) => name).join(", ");
  const needed = rules.neededReplicas(failover.replicas.length, ackReplicas);
  return `, or ${needed} of ${names} without a restart since they were in sync (ack-replicas ${ackReplicas})`;
}

/**
 * Whether a replica that could hold more is still being detached. The wait ends down-after from when detaching may begin;
 * by then a silent replica is suspect.
 * 1. With ack-replicas, when enough are detached: wait only a fifth of a lease more. It lets the last one be detached too:
 *    if it got a byte more than the new master, it would need a full sync.
 * 2. Wait for replicas that answer and for unknown ones, not for suspect and down ones.
 * 3. Don't wait for a loading one: it can't be detached, and has dropped its data.
 */
function isDetaching(
  input: PartitionInput,
  failover: FailoverView,
  hasCandidate: boolean,
): boolean {
  const { ackReplicas, leaseMs, downAfterMs, rules } = input;
  const patienceMs =
    hasCandidate && ackReplicas > 0 ? Math.min(leaseMs / 5, downAfterMs) : downAfterMs;
  if (input.withoutMasterForMs >= patienceMs) return false;
  return failover.replicas.some(({ name }) => {
    if (input.stale.has(name)) return true;
    const health = input.nodeHealth.get(name);
    if (health?.kind === "unknown") return true;
    return health?.kind === "up" && !health.info.isLoading && !rules.standsStill(health.info);
  });
}

/** `info.offset` is the offset on the lost master's history. */
interface Counted extends Candidate {
  readonly record: FailoverReplica;
  /** It accepted writes that are not on the lost master's history, because somebody made it master by hand. */
  readonly hasOwnWrites: boolean;
}

/**
 * The replicas that count:
 * 1. It does not change: it follows nobody and is not loading.
 * 2. It is on the lost master's history, and no full sync has emptied it. A replica that was promoted and became silent
 *    before a view named it is on it too, by its second replication id. So is one that somebody made master by hand; its
 *    writes since then don't count, only its offset before them.
 * 3. It has not restarted since it was last in sync.
 */
function countedOf(
  { partition, rules }: PartitionInput,
  failover: FailoverView,
  candidates: readonly Candidate[],
): readonly Counted[] {
  const { replicationId } = partition;
  return candidates.flatMap((candidate) => {
    const { info, name } = candidate;
    const record = failover.replicas.find((replica) => replica.name === name);
    const offset = rules.offsetOn(replicationId, info);
    if (record === undefined || offset === undefined || info.isEmptied) return [];
    if (!rules.isSameRun(record.runId, info.runId) || !rules.standsStill(info)) return [];
    const hasOwnWrites = offset < info.offset;
    return [{ ...candidate, info: { ...info, offset }, record, hasOwnWrites }];
  });
}

/** The one with the highest offset; on a tie one without writes of its own, then the first. */
function furthestOf(counted: readonly Counted[], { rules }: PartitionInput): Candidate | undefined {
  const pure = counted.filter(({ hasOwnWrites }) => !hasOwnWrites);
  return bestOffset(counted, bestOffset(pure, null, rules)?.name ?? null, rules);
}

/** With ack-replicas k: R-k+1 of R must count, and the disk of the furthest one must take writes. */
function candidateByCount(
  input: PartitionInput,
  failover: FailoverView,
  { ready, brokenDisk }: Candidates,
): Candidate | undefined {
  const { ackReplicas, rules } = input;
  const counted = countedOf(input, failover, [...ready, ...brokenDisk]);
  const needed = rules.neededReplicas(failover.replicas.length, ackReplicas);
  if (counted.length < needed) return undefined;
  const best = furthestOf(countedOf(input, failover, ready), input);
  const furthest = rules.furthestOf(counted.map(({ info }) => info.offset));
  return best?.info.offset === furthest ? best : undefined;
}

/**
 * With ack-replicas 0 it is not known which replica has the last writes. The furthest replica that counts is promoted if
 * any replica that counts
 * 1. was in sync when the master was lost, or
 * 2. has reached the master's last seen offset, which is at most a second older than the loss.
 */
function candidateWithoutAcks(
  input: PartitionInput,
  failover: FailoverView,
  { ready }: Candidates,
): Candidate | undefined {
  const { partition, lastSeen } = input;
  const seen = lastSeen.get(failover.from);
  const reaches = (info: NodeInfo): boolean =>
    seen?.replicationId === partition.replicationId &&
    seen.offset > 0 &&
    info.offset >= seen.offset;
  const counted = countedOf(input, failover, ready);
  const isSure = counted.some(({ record, info }) => record.inSync || reaches(info));
  return isSure ? furthestOf(counted, input) : undefined;
}
