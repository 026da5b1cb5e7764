// choose-master.ts: which data node becomes master of a partition that has none. Pure.
// The question is never "who could serve" but "who certainly holds what was acknowledged". When the answer is not
// certain the partition stays in HALT and says what it waits for and which command accepts the loss.
import { EMPTY_PARTITION_RULES } from "./first-master.ts";
import { RETURN_RULES, needsAfterOutage } from "./returning-master.ts";
import { candidatesOf } from "./candidates.ts";
import type { Choice } from "./choice.ts";
import type { PartitionInput } from "./partition-input.ts";

/**
 * 1. An operator accepted the loss: the node named, when it can serve.
 * 2. A partition that never had a master: first-master.ts.
 * 3. One that had: returning-master.ts.
 */
export function chooseMaster(input: PartitionInput): Choice {
  const candidates = candidatesOf(input);
  const accepted = candidates.ready.find((node) => node.name === input.acceptLossOf);
  if (accepted !== undefined) return { kind: "promote", node: accepted.name };
  const { partition } = input;
  const hasHistory = partition.lastMaster !== null || partition.replicationId !== null;
  for (const rule of hasHistory ? RETURN_RULES : EMPTY_PARTITION_RULES) {
    const choice = rule(input, candidates);
    if (choice !== undefined) return choice;
  }
  return { kind: "wait", needs: needsAfterOutage(input, candidates) };
}
