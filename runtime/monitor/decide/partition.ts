// partition.ts: who is master of one partition in the next view. Pure.
//
//   vacant --choice--> promoting --it says master--> served --refused, down, restarted--> vacant
//                          | down or restarted
//                          +--> vacant
//
// Invariants: a view names a master only after that node has said that it is one, so no router is ever sent to a node
// that can't serve; and nobody is promoted whom a chosen view does not name as `promoting`, so two monitors never
// promote two nodes. A failover is one more way out of `lost`: it goes into chooseMaster's rules.
import type { PartitionView } from "../../core/view.ts";
import { chooseMaster } from "./choose-master.ts";
import type { PartitionInput } from "./partition-input.ts";

type Situation =
  | { readonly kind: "served"; readonly replicationId: string | null }
  | { readonly kind: "lost" }
  | { readonly kind: "promoting" }
  | {
      readonly kind: "promoted";
      readonly node: string;
      readonly runId: string;
      readonly replicationId: string;
    }
  | { readonly kind: "stuck" }
  | { readonly kind: "vacant" };

/** The partition's next view, but for `replicas` and `dead`, which follow from the nodes' roles. */
export function decidePartition(input: PartitionInput): PartitionView {
  const { partition } = input;
  const situation = situationOf(input);
  switch (situation.kind) {
    case "served":
      // Redis gives itself a new replication id when its backlog lapses; the data is the same.
      return { ...partition, replicationId: situation.replicationId, needs: null };
    case "lost":
      return { ...partition, master: null, lastMaster: partition.master };
    case "promoting":
      return partition;
    case "promoted":
      return {
        ...partition,
        master: situation.node,
        lastMaster: situation.node,
        masterRunId: situation.runId,
        replicationId: situation.replicationId,
        promoting: null,
        needs: null,
      };
    case "stuck":
      return { ...partition, promoting: null };
    case "vacant": {
      const choice = chooseMaster(input);
      return choice.kind === "promote"
        ? { ...partition, promoting: choice.node, needs: null }
        : { ...partition, needs: choice.needs };
    }
  }
}

function situationOf(input: PartitionInput): Situation {
  const { partition } = input;
  if (partition.master !== null) return situationOfMaster(partition, partition.master, input);
  const promoting = partition.promoting ?? null;
  return promoting === null ? { kind: "vacant" } : situationOfPromoting(promoting, input);
}

/**
 * A partition with a master.
 * 1. Down: lost.
 * 2. Silent to this monitor alone, or just being asked again: nothing is known, nothing is changed.
 * 3. Another run id: it has restarted, is dead by its own configuration, and may have lost its data: lost.
 * 4. It says replica: someone demoted it by hand: lost, and the rules of an outage decide who is next.
 */
function situationOfMaster(
  partition: PartitionView,
  master: string,
  input: PartitionInput,
): Situation {
  const standing = input.standings.get(master);
  if (standing === undefined || standing.kind === "down") return { kind: "lost" };
  if (standing.kind !== "up") return { kind: "served", replicationId: partition.replicationId };
  const { info } = standing;
  const knownRunId = partition.masterRunId ?? null;
  if (knownRunId !== null && info.runId !== knownRunId) return { kind: "lost" };
  if (info.role !== "master") return { kind: "lost" };
  return { kind: "served", replicationId: info.replicationId };
}

/** A partition whose next master is on its way. A restart on the way may have cost its data: choose again. */
function situationOfPromoting(promoting: string, input: PartitionInput): Situation {
  const standing = input.standings.get(promoting);
  if (standing === undefined || standing.kind === "down") return { kind: "stuck" };
  if (standing.kind !== "up") return { kind: "promoting" };
  const { info } = standing;
  const chosenRunId = input.nodes.find((node) => node.name === promoting)?.runId ?? null;
  if (chosenRunId !== null && chosenRunId !== info.runId) return { kind: "stuck" };
  if (info.role !== "master") return { kind: "promoting" };
  const { runId, replicationId } = info;
  return { kind: "promoted", node: promoting, runId, replicationId };
}
