// returning-master.ts: the rules for a partition that had a master and has none now. Pure.
//
// What a restart leaves of the evidence (tried on Redis 7.0.15):
//   by RDB   replication id and offset survive, true to the data that was loaded: nodes can be compared;
//   by AOF   the replication id is new and the offset 0: only the number of keys is left. A dead node expires none, so
//            it comes back with as many as it had, or its file was cut, emptied or is an old one.
// A node that never restarted proves itself by its run id.
import { bestOffset, type Candidate, type Candidates } from "./candidates.ts";
import type { Choice, ChoiceRule } from "./choice.ts";
import { failoverRule, needsOfFailover } from "./failover.ts";
import type { LastSeen } from "./observations.ts";
import type { PartitionInput } from "./partition-input.ts";

/**
 * 1. The last master never left: same run id, same replication id. It has everything.
 * 2. A replica that certainly holds enough takes over (failover.ts).
 * 3. Nodes that carry the view's replication id lie on one history: the furthest along it, when it is sure that
 *    nobody is further.
 * 4. The last master came back from its AOF with its data.
 * Otherwise wait.
 */
export const RETURN_RULES: readonly ChoiceRule[] = [
  neverLeftRule,
  failoverRule,
  sameHistoryRule,
  aofRule,
];

function neverLeftRule(input: PartitionInput, { ready }: Candidates): Choice | undefined {
  const { lastMaster, masterRunId, replicationId } = input.partition;
  const last = ready.find(({ name }) => name === lastMaster);
  if (last === undefined || last.info.runId !== masterRunId) return undefined;
  return last.info.replicationId === replicationId ? promote(last.name) : undefined;
}

/**
 * Sure that nobody is further:
 * With ack-replicas every node answers with its data loaded, and all that are not empty can be compared: one of them has
 * whatever was acknowledged, and the furthest has it too.
 * Without, the last master is among those compared, and
 * 1. it has reached what it was seen to have, at most a second before the end, or
 * 2. every node of the partition answers with its data loaded.
 * Replicas alone are never enough: the last second's writes may be on the last master alone.
 */
function sameHistoryRule(input: PartitionInput, candidates: Candidates): Choice | undefined {
  const { lastMaster, replicationId } = input.partition;
  if (replicationId === null) return undefined;
  const comparable = candidates.ready.filter(({ info }) => info.replicationId === replicationId);
  const best = bestOffset(comparable, lastMaster, input.rules);
  if (best === undefined) return undefined;
  if (input.ackReplicas > 0) {
    const isAll = candidates.ready.every((node) => comparable.includes(node) || isEmpty(node));
    return isAll && isEveryoneBack(input, candidates) ? promote(best.name) : undefined;
  }
  const seen = lastSeenOf(input);
  // An offset says nothing about a master that never had a replica: without a backlog it stays at 0.
  const last = comparable.find(({ name }) => name === lastMaster);
  if (last === undefined) return undefined;
  const reachesSeen =
    seen?.replicationId === replicationId && seen.offset > 0 && last.info.offset >= seen.offset;
  return reachesSeen || isEveryoneBack(input, candidates) ? promote(best.name) : undefined;
}

/**
 * 1. As many keys as were seen last, or more: it has its data. With ack-replicas every node must be back beside it, none
 *    with more.
 * 2. Fewer: some were deleted in the last second, or its file lost them. When every node of the partition is back and
 *    none holds more, there is nothing better to wait for. An empty one proves nothing even then.
 * 3. Without a record it served for less than a second: keys prove that it is no other's folder, and when every node
 *    is back and all are empty nothing is lost.
 */
function aofRule(input: PartitionInput, candidates: Candidates): Choice | undefined {
  const { lastMaster, replicationId } = input.partition;
  const last = candidates.ready.find(({ name }) => name === lastMaster);
  // With the view's replication id it came back by RDB, and rule 2 has found that others may be further.
  if (last === undefined || last.info.replicationId === replicationId) return undefined;
  const { keys } = last.info;
  const seen = lastSeenOf(input);
  const isMost = isEveryoneBack(input, candidates) && keys >= mostKeys(candidates);
  // What others acknowledged for it must not be thrown away unseen.
  const mayBeAlone = input.ackReplicas === 0;
  const hasAll = (isMost || mayBeAlone) && (seen === undefined ? keys > 0 : keys >= seen.keys);
  const isBestOfAll = isMost && (keys > 0 || seen === undefined);
  return hasAll || isBestOfAll ? promote(last.name) : undefined;
}

function isEmpty({ info }: Candidate): boolean {
  return info.keys === 0;
}

/**
 * Every node answers with its data loaded. One whose data a broken-off full sync has dropped will never have any again; with
 * ack-replicas it may have been the one that held a write, and a person has to know.
 */
function isEveryoneBack({ ackReplicas }: PartitionInput, candidates: Candidates): boolean {
  const { away, loading, emptied, brokenDisk } = candidates;
  const missed = ackReplicas > 0 ? emptied.length : 0;
  return away.length + loading.length + brokenDisk.length + missed === 0;
}

/**
 * Whatever history they are on: a replica that was promoted half way has an id of its own and holds everything, and a
 * former master that woke up may hold what the last one lost (simulation, seeds 30040 and 30768).
 */
function mostKeys({ ready }: Candidates): number {
  return Math.max(...ready.map(({ info }) => info.keys));
}

/** The first of those with the most keys. */
function fullest(candidates: Candidates): Candidate | undefined {
  return candidates.ready.find(({ info }) => info.keys === mostKeys(candidates));
}

function lastSeenOf({ partition, lastSeen }: PartitionInput): LastSeen | undefined {
  return partition.lastMaster === null ? undefined : lastSeen.get(partition.lastMaster);
}

/** What the partition waits for, and the command that ends the waiting. Never a figure that changes by itself: every
    change of this text is a change of the view. */
export function needsAfterOutage(input: PartitionInput, candidates: Candidates): string {
  const { lastMaster, replicationId } = input.partition;
  const last = candidates.ready.find(({ name }) => name === lastMaster);
  const wants =
    last === undefined
      ? `${lastMaster ?? "its last master"} ${stateOfLast(lastMaster, candidates)}${needsOfFailover(input)}`
      : last.info.replicationId === replicationId
        ? newerThan(last, candidates)
        : lostData(last, lastSeenOf(input), candidates);
  const best = leastLoss(input, candidates);
  const command =
    best === undefined
      ? ""
      : `; or accept the loss of what the others held: twine-failover --accept-loss ${best.name}`;
  return `${wants}${command}`;
}

/**
 * Whom to name to a person who accepts a loss:
 * 1. The last master, restarted but with as many keys as anybody: the others only have what it sent them.
 * 2. The one furthest along the view's history.
 * 3. The one with the most keys.
 */
function leastLoss(
  { partition, rules }: PartitionInput,
  candidates: Candidates,
): Candidate | undefined {
  const { lastMaster, replicationId } = partition;
  const last = candidates.ready.find(({ name }) => name === lastMaster);
  const isOnHistory = ({ info }: Candidate): boolean => info.replicationId === replicationId;
  const isFull = last !== undefined && !isEmpty(last) && last.info.keys >= mostKeys(candidates);
  if (isFull && !isOnHistory(last)) return last;
  return bestOffset(candidates.ready.filter(isOnHistory), lastMaster, rules) ?? fullest(candidates);
}

function newerThan(last: Candidate, { away, loading, ready }: Candidates): string {
  const missing = away.concat(loading.map(({ name }) => name));
  if (missing.length > 0)
    return `${missing.join(", ")} back, which may hold newer data than ${last.name}`;
  const strangers = ready.filter(({ info }) => info.replicationId !== last.info.replicationId);
  const names = strangers.map(({ name }) => name).join(", ");
  return `a decision: what ${names} ${strangers.length === 1 ? "holds" : "hold"} can't be compared with what ${last.name} came back with`;
}

/** Figures of dead nodes stand still, so they may be told. */
function lostData(last: Candidate, seen: LastSeen | undefined, candidates: Candidates): string {
  const { name, info } = last;
  if (candidates.emptied.length > 0) {
    const names = candidates.emptied.map((node) => node.name).join(", ");
    const held = candidates.ready.map((node) => `${node.name} ${node.info.keys}`).join(", ");
    return `a decision: a full sync that broke off has emptied ${names}, and ${name} has restarted (keys: ${held})`;
  }
  if (info.keys === 0) return `the data of ${name}, its last master, which came back empty`;
  const other = fullest(candidates);
  const beside =
    other === undefined || other.name === name ? "" : `; ${other.name} holds ${other.info.keys}`;
  const had = seen === undefined ? "more" : String(seen.keys);
  return `the data of ${name}, its last master, which came back with ${info.keys} keys of ${had}${beside}`;
}

function stateOfLast(lastMaster: string | null, candidates: Candidates): string {
  if (candidates.loading.some(({ name }) => name === lastMaster))
    return "to finish loading its data";
  if (candidates.brokenDisk.some(({ name }) => name === lastMaster)) {
    return "with a disk that takes writes: its last save failed";
  }
  return "back with its data: it was the last master";
}

function promote(node: string): Choice {
  return { kind: "promote", node };
}
