// first-master.ts: the rules for a partition that no view remembers with a master. Pure.
// Mostly a first start: every node is empty and the first one is taken. But the status nodes may have been wiped while
// the data nodes hold everything, or somebody put an old data folder under one of them: then what is there must not
// be overwritten by an empty master.
import { bestOffset, type Candidate, type Candidates } from "./candidates.ts";
import type { Choice, ChoiceRule } from "./choice.ts";
import type { PartitionInput } from "./partition-input.ts";

/**
 * 1. Somebody still loads: wait, it holds something.
 * 2. Some hold keys: chosen among them as holdersRule says.
 * 3. All that answer are empty: the first node; while it does not answer, the first that does, but not before
 *    down-after has passed under this alpha, so that nodes which start together don't race.
 */
export const EMPTY_PARTITION_RULES: readonly ChoiceRule[] = [loadingRule, holdersRule, emptyRule];

function loadingRule(_input: PartitionInput, { loading }: Candidates): Choice | undefined {
  if (loading.length === 0) return undefined;
  return wait(`${namesOf(loading)} to finish loading`);
}

/**
 * Some nodes hold keys though no view remembers any. Choosing one makes the others its copies, so it is done only when
 * that drops no key that anybody holds:
 * 1. Every node answers and one alone holds keys: that one.
 * 2. Every node answers and all that hold keys share one replication id, so they lie on one history: the one that is
 *    furthest along it.
 * 3. Otherwise nobody but the operator can know which data is right.
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
