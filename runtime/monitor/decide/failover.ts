// failover.ts: which replica of a lost master takes its place, and when. Pure.
//
//   "no master" chosen --> drain --> detach the replicas --> who holds enough? --> promote
//                                       (actions.ts)            |  nobody for sure
//                                                               +--> HALT: other rules, or a person
//
// Why detach before comparing: a replica that still follows could be ahead a moment later, and could go on holding
// writes for the old master, which would then acknowledge them. A detached one stands still.
// Why R-k+1 of R: with ack-replicas k an acknowledged write is on k of the R replicas. Any R-k+1 of them include one of
// those k; and the k-1 that are left can't make the old master acknowledge anything more. So the one that is furthest
// among them holds every acknowledged write, dead master or not.
import type { FailoverReplica, FailoverView, NodeView } from "../../core/view.ts";
import { bestOffset, type Candidate, type Candidates } from "./candidates.ts";
import type { Choice } from "./choice.ts";
import { isFollowing } from "./data-nodes.ts";
import type { NodeInfo } from "./info.ts";
import type { PartitionInput } from "./partition-input.ts";
import type { FenceTimes } from "./rules.ts";

/**
 * 1. No failover is recorded: nothing to say.
 * 2. Replicas that answer are still being detached: wait for them (isDetaching says for how long).
 * 3. Nobody certainly holds enough: nothing to say, and the rules of an outage go on.
 * 4. With ack-replicas 0 a master that may still live takes writes until the routers' lease is over: wait it out.
 * 5. The one that is furthest, the first on a tie.
 */
export function failoverRule(input: PartitionInput, candidates: Candidates): Choice | undefined {
  const { ackReplicas, rules } = input;
  const failover = input.partition.failover ?? null;
  if (failover === null) return undefined;
  const heir =
    ackReplicas === 0
      ? heirWithoutAcks(input, failover, candidates)
      : heirByCount(input, failover, candidates);
  if (isDetaching(input, failover, heir !== undefined)) return { kind: "pending" };
  if (heir === undefined) return undefined;
  if (ackReplicas === 0 && !rules.isFenced(input, failover.isKnownDead)) return { kind: "pending" };
  return { kind: "promote", node: heir.name };
}

/** Whether the loss of the master is certain now: its port refuses, or another process answers there. */
export function isKnownDead(input: PartitionInput, master: string): boolean {
  const standing = input.standings.get(master);
  if (standing?.kind === "down") return standing.isRefused;
  const runId = input.partition.masterRunId ?? null;
  return standing?.kind === "up" && runId !== null && standing.info.runId !== runId;
}

/** What the view keeps of `partition`'s replicas in the moment its master is lost. */
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

/** Replicas of a partition that are not to be detached yet: their link to the old master is up, and it may bring more. */
export function drainingOf(
  input: Pick<PartitionInput, "partition" | "nodes" | "standings" | "rules" | keyof FenceTimes>,
): readonly string[] {
  const failover = input.partition.failover ?? null;
  const from = input.nodes.find(({ name }) => name === failover?.from);
  if (failover === null || from === undefined) return [];
  if (!input.rules.mayStillHear(input, failover.isKnownDead)) return [];
  const isReading = ({ name }: NodeView): boolean => {
    const standing = input.standings.get(name);
    return standing?.kind === "up" && standing.info.isLinkUp && isFollowing(standing.info, from);
  };
  return input.nodes.filter(isReading).map(({ name }) => name);
}

/** What else would end the wait for the last master, to be read after "M back with its data". */
export function needsOfFailover({ partition, ackReplicas, rules }: PartitionInput): string {
  const failover = partition.failover ?? null;
  if (failover === null || ackReplicas === 0 || failover.replicas.length === 0) return "";
  const names = failover.replicas.map(({ name }) => name).join(", ");
  const needed = rules.neededReplicas(failover.replicas.length, ackReplicas);
  return `, or ${needed} of ${names} without a restart since they were in sync (ack-replicas ${ackReplicas})`;
}

/**
 * Whether a replica that could bring more is still on its way to being detached. Nobody is waited for longer than
 * down-after from when detaching may begin; by then a silent one is suspect.
 * 1. With ack-replicas, once enough are detached: a fifth of a lease, so that the last one need not sync in full
 *    because it got a byte more than the new master.
 * 2. Those that answer and those that nothing is known of yet are waited for; suspect and down ones are not.
 * 3. One that loads can't be detached, and has dropped what it had: not waited for.
 */
function isDetaching(input: PartitionInput, failover: FailoverView, hasHeir: boolean): boolean {
  const { ackReplicas, leaseMs, downAfterMs, rules } = input;
  const patienceMs = hasHeir && ackReplicas > 0 ? Math.min(leaseMs / 5, downAfterMs) : downAfterMs;
  if (input.vacantForMs >= patienceMs) return false;
  return failover.replicas.some(({ name }) => {
    if (input.unsettled.has(name)) return true;
    const standing = input.standings.get(name);
    if (standing?.kind === "unknown") return true;
    return standing?.kind === "up" && !standing.info.isLoading && !rules.standsStill(standing.info);
  });
}

/** `info.offset` is how far it is on the history of the lost master. */
interface Counted extends Candidate {
  readonly record: FailoverReplica;
  /** It took writes that lie on no history of the lost master's: somebody made it master by hand. */
  readonly hasOwnWrites: boolean;
}

/**
 * The replicas that count:
 * 1. It stands still: it follows nobody and does not load.
 * 2. It lies on the history of the lost master, and no full sync has emptied it. One that was promoted and lost sight of
 *    before any view said so lies on it too: that history is its second. So does one that somebody made master by hand,
 *    but what it took since then counts for nothing: it is as far as it was before that.
 * 3. It runs as it did when it was last in sync.
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

/** The one that is furthest; on a tie one without writes of its own, then the first. */
function furthestOf(counted: readonly Counted[], { rules }: PartitionInput): Candidate | undefined {
  const pure = counted.filter(({ hasOwnWrites }) => !hasOwnWrites);
  return bestOffset(counted, bestOffset(pure, null, rules)?.name ?? null, rules);
}

/** With ack-replicas k: R-k+1 of R must count, and the furthest of them must have a disk that takes writes. */
function heirByCount(
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
 * With ack-replicas 0 nobody can know where the last writes are. Taken is the furthest replica that counts, when it or
 * one that it is ahead of
 * 1. was in sync when the master was lost, or
 * 2. has reached what the master was last seen to have, at most a second before.
 */
function heirWithoutAcks(
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
