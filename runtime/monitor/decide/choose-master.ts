// choose-master.ts: which data node becomes master of a partition that has none. Pure.
// The question is never "who could serve" but "who certainly holds what was acknowledged". When the answer is not
// certain the partition stays in HALT and says what it waits for and which command accepts the loss.
import { EMPTY_PARTITION_RULES } from "./first-master.ts";
import { RETURN_RULES, needsAfterOutage } from "./returning-master.ts";
import { candidatesOf } from "./candidates.ts";
import type { Choice } from "./choice.ts";
import type { PartitionInput } from "./partition-input.ts";

/**
 * 1. A node that answers is still being asked what an action made of it: wait for it, for down-after at most.
 * 2. An operator accepted the loss: the node named, when it can serve and nobody writes to the old master any more.
 * 3. A partition that never had a master: first-master.ts.
 * 4. One that had: returning-master.ts.
 */
export function chooseMaster(input: PartitionInput): Choice {
  if (input.unsettled.size > 0 && input.vacantForMs < input.downAfterMs) return { kind: "pending" };
  const candidates = candidatesOf(input);
  const { partition } = input;
  const accepted = candidates.ready.find((node) => node.name === input.acceptLossOf);
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
