// returning-master.ts: the rules for a partition that had a master and has none now. Pure.
//
// What a node still has after a restart (tried on Redis 7.0.15):
//   by RDB   replication id and offset, as of the loaded data: nodes can be compared;
//   by AOF   a new replication id and offset 0: only the number of keys is left. A dead node expires no keys, so it has as
//            many as before, unless its file was cut, emptied or replaced by an old one.
// A node that never restarted has the same run id.
import {
  bestOffset,
  foreignText,
  type Candidate,
  type Candidates,
} from "../failover/candidates.ts";
import type { Choice, ChoiceRule } from "../failover/choice.ts";
import { failoverRule, needsOfFailover } from "../failover/failover.ts";
import type { LastSeen } from "../nodes/observations.ts";
import type { PartitionInput } from "../partition-input.ts";

/**
 * 1. The last master never restarted (same run id and replication id): it has everything.
 * 2. A replica that certainly holds enough takes over (failover.ts).
 * 3. Nodes with the view's replication id are on one history: the furthest one, if certainly no node is further.
 * 4. The last master restarted from its AOF with its data.
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
 * No node is further, certainly:
 * With ack-replicas: every node answers with its data loaded, and all that are not empty can be compared. One of them has
 * every acknowledged write, so the furthest has it too.
 * Without: the last master is among the compared nodes, and
 * 1. it has reached its last seen offset, which is at most a second older than its end, or
 * 2. every node of the partition answers with its data loaded.
 * Replicas alone are never enough: the writes of the last second may be on the last master only.
 */
function sameHistoryRule(input: PartitionInput, candidates: Candidates): Choice | undefined {
  const { lastMaster, replicationId } = input.partition;
  if (replicationId === null) return undefined;
  const comparable = candidates.ready.filter(({ info }) => info.replicationId === replicationId);
  const best = bestOffset(comparable, lastMaster, input.rules);
  if (best === undefined) return undefined;
  if (input.ackReplicas > 0) {
    const isAll = candidates.ready.every((node) => comparable.includes(node) || isEmpty(node));
    const emptied = candidates.emptied.filter((node) => !isBehind(node, best));
    return isAll && isEveryoneBack(input, { ...candidates, emptied })
      ? promote(best.name)
      : undefined;
  }
  const seen = lastSeenOf(input);
  // The offset of a master that never had a replica means nothing: without a backlog it stays at 0.
  const last = comparable.find(({ name }) => name === lastMaster);
  if (last === undefined) return undefined;
  const reachesSeen =
    seen?.replicationId === replicationId && seen.offset > 0 && last.info.offset >= seen.offset;
  return reachesSeen || isEveryoneBack(input, candidates) ? promote(best.name) : undefined;
}

/**
 * 1. At least as many keys as last seen: it has its data. With ack-replicas every other node must be back, none with more
 *    keys. Without, it may come back alone if nothing contradicts: the others had down-after to answer, none is loading,
 *    and none holds more keys than recorded for it (the record itself may have been restored from a copy).
 * 2. Fewer keys: some were deleted in the last second, or its file lost them. If every node of the partition is back and
 *    none holds more, waiting can't bring more. An empty one proves nothing even then.
 * 3. Without a record it served for less than a second: keys prove that it has the right data folder. If every node is back
 *    and all are empty, nothing is lost.
 */
function aofRule(input: PartitionInput, candidates: Candidates): Choice | undefined {
  const { lastMaster, replicationId } = input.partition;
  const last = candidates.ready.find(({ name }) => name === lastMaster);
  // With the view's replication id it restarted from an RDB, and sameHistoryRule has found that others may be further.
  if (last === undefined || last.info.replicationId === replicationId) return undefined;
  const { keys } = last.info;
  const seen = lastSeenOf(input);
  const isMost = isEveryoneBack(input, candidates) && keys >= mostKeys(candidates);
  // Writes that other nodes acknowledged must not be dropped without comparing.
  const mayBeAlone = input.ackReplicas === 0 && input.rules.mayReturnAlone(input, last, candidates);
  const hasAll = (isMost || mayBeAlone) && (seen === undefined ? keys > 0 : keys >= seen.keys);
  const isBestOfAll = isMost && (keys > 0 || seen === undefined);
  return hasAll || isBestOfAll ? promote(last.name) : undefined;
}

/**
 * Whether an emptied node never had more than `best`. Its replication id and the end of its history belong to the data that
 * it had, whether dropped or whole: Redis updates both only when a full sync is complete.
 */
function isBehind({ info }: Candidate, best: Candidate): boolean {
  const { keptOffset } = info;
  if (keptOffset === undefined || info.replicationId !== best.info.replicationId) return false;
  return keptOffset <= best.info.offset;
}

function isEmpty({ info }: Candidate): boolean {
  return info.keys === 0;
}

/**
 * Every node answers with its data loaded. Data that an incomplete full sync has dropped never comes back. With
 * ack-replicas that node may have been the one that held a write, so a person must decide.
 */
function isEveryoneBack({ ackReplicas }: PartitionInput, candidates: Candidates): boolean {
  const { away, loading, emptied, brokenDisk, foreign } = candidates;
  const missed = (ackReplicas > 0 ? emptied.length : 0) + foreign.length;
  return away.length + loading.length + brokenDisk.length + missed === 0;
}

/**
 * On any history: a replica whose promotion was interrupted has its own replication id and holds everything, and an earlier
 * master that is back may hold what the last one lost (simulation, seeds 30040 and 30768).
 */
function mostKeys({ ready }: Candidates): number {
  return Math.max(...ready.map(({ info }) => info.keys));
}

/** The first node with the most keys. */
function fullest(candidates: Candidates): Candidate | undefined {
  return candidates.ready.find(({ info }) => info.keys === mostKeys(candidates));
}

function lastSeenOf({ partition, lastSeen }: PartitionInput): LastSeen | undefined {
  return partition.lastMaster === null ? undefined : lastSeen.get(partition.lastMaster);
}

/** What the partition waits for, and the command that ends the wait. It must not contain a figure that changes by itself:
    every change of this text changes the view. */
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
 * The node to suggest to an operator who accepts a loss:
 * 1. The last master, if it has restarted with at least as many keys as any node: the others only have its data.
 * 2. The furthest node on the view's history.
 * 3. The node with the most keys.
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

/** Names every node that `sameHistoryRule` may wait for; at least one of these lists is not empty then. */
function newerThan(last: Candidate, candidates: Candidates): string {
  const { away, loading, ready, emptied, brokenDisk, foreign } = candidates;
  const missing = away.concat(loading.map(({ name }) => name));
  if (missing.length > 0)
    return `${missing.join(", ")} back, which may hold newer data than ${last.name}`;
  if (foreign.length > 0) return `a decision: ${foreignText(foreign)}`;
  if (brokenDisk.length > 0) {
    return `${namesOf(brokenDisk)} with a disk that takes writes, which may hold newer data than ${last.name}`;
  }
  const strangers = ready.filter(
    (node) => !isEmpty(node) && node.info.replicationId !== last.info.replicationId,
  );
  const others = [...strangers, ...emptied];
  return `a decision: what ${namesOf(others)} ${others.length === 1 ? "holds" : "hold"} can't be compared with what ${last.name} came back with`;
}

function namesOf(nodes: readonly Candidate[]): string {
  return nodes.map(({ name }) => name).join(", ");
}

/** The number of keys may be shown: it does not change while the partition has no master. */
function lostData(last: Candidate, seen: LastSeen | undefined, candidates: Candidates): string {
  const { name, info } = last;
  if (candidates.foreign.length > 0) return `a decision: ${foreignText(candidates.foreign)}`;
  if (candidates.emptied.length > 0) {
    const names = namesOf(candidates.emptied);
    const held = candidates.ready.map((node) => `${node.name} ${node.info.keys}`).join(", ");
    return `a decision: a full sync that broke off has emptied ${names}, and ${name} has restarted (keys: ${held})`;
  }
  if (info.keys === 0) {
    return `the data of ${name}, its last master, which came back empty${dumpHint(last)}`;
  }
  const other = fullest(candidates);
  const beside =
    other === undefined || other.name === name ? "" : `; ${other.name} holds ${other.info.keys}`;
  const had = seen === undefined ? "more" : String(seen.keys);
  return `the data of ${name}, its last master, which came back with ${info.keys} keys of ${had}${beside}`;
}

/** A redis-server that was started by hand, or with another appendonly setting, did not load the file there. */
function dumpHint({ name, info }: Candidate): string {
  if (info.isAppendOnly !== true) return "";
  return ` (with appendonly yes Redis loads no dump.rdb: if the one in its data folder is full, stop ${name}, remove appendonlydir there and start it, and Twine loads dump.rdb)`;
}

function stateOfLast(lastMaster: string | null, candidates: Candidates): string {
  if (candidates.loading.some(({ name }) => name === lastMaster))
    return "to finish loading its data";
  const foreign = candidates.foreign.filter(({ name }) => name === lastMaster);
  if (foreign.length > 0) return `back: ${foreignText(foreign)}`;
  if (candidates.brokenDisk.some(({ name }) => name === lastMaster)) {
    return "with a disk that takes writes: its last save failed";
  }
  return "back with its data: it was the last master";
}

function promote(node: string): Choice {
  return { kind: "promote", node };
}
