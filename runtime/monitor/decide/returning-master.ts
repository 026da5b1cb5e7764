// returning-master.ts: the rules for a partition that had a master and has none now. Pure.
//
// What a restart leaves of the evidence (tried on Redis 7.0.15):
//   by RDB   replication id and offset survive, true to the data that was loaded: nodes can be compared;
//   by AOF   the replication id is new and the offset 0: only "it had keys and has some again" is left.
// A node that never restarted proves itself by its run id.
import { bestOffset, type Candidates } from "./candidates.ts";
import type { Choice, ChoiceRule } from "./choose-master.ts";
import type { PartitionInput } from "./partition.ts";

/**
 * 1. The last master never left: same run id, same replication id. It has everything.
 * 2. Nodes that carry the view's replication id lie on one history: the furthest along it, when it is sure that
 *    nobody is further.
 * 3. The last master came back from its AOF with its data.
 * Otherwise wait.
 */
export const RETURN_RULES: readonly ChoiceRule[] = [neverLeftRule, sameHistoryRule, aofRule];

function neverLeftRule(input: PartitionInput, { ready }: Candidates): Choice | undefined {
  const { lastMaster, masterRunId, replicationId } = input.partition;
  const last = ready.find(({ name }) => name === lastMaster);
  if (last === undefined || last.info.runId !== masterRunId) return undefined;
  return last.info.replicationId === replicationId ? promote(last.name) : undefined;
}

/**
 * Sure that nobody is further:
 * 1. It has reached what the last master was seen to have, at most a second before the end, or
 * 2. the last master is among those compared and every node of the partition answers with its data loaded.
 */
function sameHistoryRule(input: PartitionInput, candidates: Candidates): Choice | undefined {
  const { lastMaster, replicationId } = input.partition;
  if (replicationId === null) return undefined;
  const comparable = candidates.ready.filter(({ info }) => info.replicationId === replicationId);
  const best = bestOffset(comparable, lastMaster);
  if (best === undefined) return undefined;
  const seen = lastMaster === null ? undefined : input.lastSeen.get(lastMaster);
  // An offset says nothing about a master that never had a replica: without a backlog it stays at 0.
  const reachesSeen =
    seen?.replicationId === replicationId && seen.offset > 0 && best.info.offset >= seen.offset;
  const isEveryoneBack = candidates.away.length === 0 && candidates.loading.length === 0;
  const isLastCompared = comparable.some(({ name }) => name === lastMaster);
  return reachesSeen || (isEveryoneBack && isLastCompared) ? promote(best.name) : undefined;
}

function aofRule(input: PartitionInput, { ready }: Candidates): Choice | undefined {
  const { lastMaster, replicationId } = input.partition;
  const last = ready.find(({ name }) => name === lastMaster);
  // With the view's replication id it came back by RDB, and rule 2 has found that others may be further.
  if (last === undefined || last.info.replicationId === replicationId) return undefined;
  return hasItsData(last.info.keys, input) ? promote(last.name) : undefined;
}

/** It held no key when it was seen last, or it holds keys again. Without a record only keys prove anything. */
function hasItsData(keys: number, input: PartitionInput): boolean {
  const { lastMaster } = input.partition;
  const seen = lastMaster === null ? undefined : input.lastSeen.get(lastMaster);
  return keys > 0 || seen?.keys === 0;
}

/** What the partition waits for, and the command that ends the waiting. Never a figure that changes by itself: every
    change of this text is a change of the view. */
export function needsAfterOutage(input: PartitionInput, candidates: Candidates): string {
  const { lastMaster, replicationId } = input.partition;
  const last = candidates.ready.find(({ name }) => name === lastMaster);
  const wants =
    last === undefined
      ? `${lastMaster ?? "its last master"} ${stateOfLast(lastMaster, candidates)}`
      : last.info.replicationId === replicationId
        ? `${candidates.away.concat(candidates.loading.map(({ name }) => name)).join(", ")} back, which may hold newer data than ${last.name}`
        : `the data of ${last.name}, its last master, which came back empty`;
  const best =
    bestOffset(
      candidates.ready.filter(({ info }) => info.replicationId === replicationId),
      lastMaster,
    ) ?? [...candidates.ready].sort((a, b) => b.info.keys - a.info.keys)[0];
  const command =
    best === undefined
      ? ""
      : `; or accept the loss of what the others held: twine-failover --accept-loss ${best.name}`;
  return `${wants}${command}`;
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
