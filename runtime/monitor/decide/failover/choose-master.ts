// choose-master.ts: chooses the data node that becomes master of a partition without one. Pure.
// It must be a node that certainly holds every acknowledged write. When none is certain, the partition stays in HALT and
// shows what it needs and which command accepts the loss.
import { EMPTY_PARTITION_RULES } from "./first-master.ts";
import { RETURN_RULES, needsAfterOutage } from "../returning/returning-master.ts";
import { candidatesOf } from "./candidates.ts";
import type { Choice } from "./choice.ts";
import type { PartitionInput } from "../partition-input.ts";

/**
 * 1. A stale node has not answered since the last action on it: wait for it, for down-after at most.
 * 2. An operator accepted the loss: the named node, when it can serve and no client can write to the old master any more.
 * 3. A partition that never had a master: first-master.ts.
 * 4. A partition that had one: returning-master.ts.
 */
export function chooseMaster(input: PartitionInput): Choice {
  if (input.stale.size > 0 && input.withoutMasterForMs < input.downAfterMs)
    return { kind: "pending" };
  const candidates = candidatesOf(input);
  const { partition } = input;
  // requests.ts has refused impossible requests, so the wait for the accepted node is short.
  const accepted = [...candidates.ready, ...candidates.emptied].find(
    (node) => node.name === input.acceptLossOf,
  );
  if (accepted !== undefined) {
    const failover = partition.failover ?? null;
    const isSafe = failover === null || input.rules.isFenced(input, failover.isKnownDead);
    return isSafe ? { kind: "promote", node: accepted.name } : { kind: "pending" };
  }
  const hasHistory = partition.lastMaster !== null || partition.replicationId !== null;
  for (const rule of hasHistory ? RETURN_RULES : EMPTY_PARTITION_RULES) {
    const choice = rule(input, candidates);
    if (choice !== undefined) return choice;
  }
  return { kind: "wait", needs: needsAfterOutage(input, candidates) };
}
