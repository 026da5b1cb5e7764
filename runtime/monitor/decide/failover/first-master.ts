// first-master.ts: the rules for a partition for which no view has recorded a master. Pure.
// Usually this is a first start: every node is empty, and the first one is promoted. But the status nodes may have been
// wiped while the data nodes hold everything, or an operator may have put an old data folder under a node. An empty master
// must not overwrite that data.
import { bestOffset, foreignText, type Candidate, type Candidates } from "./candidates.ts";
import type { Choice, ChoiceRule } from "./choice.ts";
import type { PartitionInput } from "../partition-input.ts";

/**
 * 1. A node follows a foreign master: wait; a person must decide whose data this partition gets.
 * 2. A node is still loading: wait, it holds data.
 * 3. Some nodes hold keys: holdersRule chooses among them.
 * 4. All nodes that answer are empty: the first node. While it does not answer: the first one that does, but only when this
 *    alpha has led for down-after, because nodes that start together answer in any order.
 */
export const EMPTY_PARTITION_RULES: readonly ChoiceRule[] = [
  foreignRule,
  loadingRule,
  holdersRule,
  emptyRule,
];

function foreignRule(_input: PartitionInput, { foreign }: Candidates): Choice | undefined {
  if (foreign.length === 0) return undefined;
  return wait(`a decision: ${foreignText(foreign)}`);
}

function loadingRule(_input: PartitionInput, { loading }: Candidates): Choice | undefined {
  if (loading.length === 0) return undefined;
  return wait(`${namesOf(loading)} to finish loading`);
}

/**
 * Some nodes hold keys, but no view records a master. Choosing one makes the others its copies, so it is done only when no
 * node loses a key:
 * 1. Every node answers and only one holds keys: that one.
 * 2. Every node answers and all that hold keys have the same replication id, so they are on one history: the furthest one.
 * 3. Otherwise only the operator can know which data is right.
 */
function holdersRule({ rules }: PartitionInput, candidates: Candidates): Choice | undefined {
  const { ready, brokenDisk, away } = candidates;
  const holders = [...ready, ...brokenDisk].filter(({ info }) => info.keys > 0);
  if (holders.length === 0) return undefined;
  const histories = new Set(holders.map(({ info }) => info.replicationId));
  const best = histories.size === 1 ? bestOffset(holders, null, rules) : undefined;
  if (best !== undefined && away.length === 0 && ready.includes(best)) {
    return { kind: "promote", node: best.name };
  }
  const most = [...ready].sort((a, b) => b.info.keys - a.info.keys)[0];
  const command =
    most === undefined ? "" : `; or take one as it is: twine-failover --accept-loss ${most.name}`;
  const why =
    best === undefined
      ? `a decision: no view remembers it and ${namesOf(holders)} hold different data`
      : away.length > 0
        ? `${away.join(", ")} to answer: no view remembers it and ${namesOf(holders)} ${holders.length === 1 ? "holds" : "hold"} keys`
        : `a disk that takes writes at ${best.name}, which holds the most`;
  return wait(`${why}${command}`);
}

function emptyRule(input: PartitionInput, candidates: Candidates): Choice {
  const first = input.nodes[0]?.name;
  const choice = candidates.ready[0];
  if (choice === undefined)
    return wait(`a data node that answers (${input.nodes.map((node) => node.name).join(", ")})`);
  if (choice.name === first || input.ledForMs >= input.downAfterMs) {
    return { kind: "promote", node: choice.name };
  }
  return wait(`its first data node, ${first ?? ""}, or a moment without it`);
}

function wait(needs: string): Choice {
  return { kind: "wait", needs };
}

function namesOf(candidates: readonly Candidate[]): string {
  return candidates.map(({ name }) => name).join(", ");
}
