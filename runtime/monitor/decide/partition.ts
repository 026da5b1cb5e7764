// partition.ts: who is master of one partition in the next view. Pure.
//
//   vacant --choice--> promoting --it says master--> served --refused, down, restarted--> vacant, with a failover
//                          | down or restarted
//                          +--> vacant
//
// Invariants: a view names a master only after that node has said that it is one, so no router is ever sent to a node
// that can't serve; and nobody is promoted whom a chosen view does not name as `promoting`, so two monitors never
// promote two nodes. What is decided while there is no master is decided from settled nodes only (data-nodes that said
// what they are after the last action on them).
import type { PartitionView } from "../../core/view.ts";
import { chooseMaster } from "./choose-master.ts";
import { failoverFrom, isKnownDead } from "./failover.ts";
import type { PartitionInput } from "./partition-input.ts";

type Situation =
  | { readonly kind: "served"; readonly replicationId: string | null }
  | { readonly kind: "lost"; readonly master: string }
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
      return lost(input, situation.master);
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
        failover: null,
      };
    case "stuck":
      return stuck(input);
    case "vacant":
      return vacant(input);
  }
}

function lost(input: PartitionInput, master: string): PartitionView {
  const failover = failoverFrom(input, master);
  return { ...input.partition, master: null, lastMaster: master, promoting: null, failover };
}

/** Whoever was to be promoted is gone. After a handover nothing is recorded of the replicas yet. */
function stuck(input: PartitionInput): PartitionView {
  const { partition } = input;
  const { lastMaster } = partition;
  const isRecorded = lastMaster === null || (partition.failover ?? null) !== null;
  if (isRecorded) return { ...partition, promoting: null };
  return { ...partition, promoting: null, failover: failoverFrom(input, lastMaster) };
}

function vacant(input: PartitionInput): PartitionView {
  const partition = withLatestNews(input);
  const choice = chooseMaster({ ...input, partition });
  switch (choice.kind) {
    case "promote":
      return { ...partition, promoting: choice.node, needs: null };
    case "wait":
      return partition.needs === choice.needs ? partition : { ...partition, needs: choice.needs };
    case "pending":
      return partition;
  }
}

/** A master that was silent when it was lost may be known dead by now. */
function withLatestNews(input: PartitionInput): PartitionView {
  const { partition } = input;
  const failover = partition.failover ?? null;
  if (failover === null || failover.isKnownDead || !isKnownDead(input, failover.from)) {
    return partition;
  }
  return { ...partition, failover: { ...failover, isKnownDead: true } };
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
  if (standing === undefined || standing.kind === "down") return { kind: "lost", master };
  if (standing.kind !== "up") return { kind: "served", replicationId: partition.replicationId };
  const { info } = standing;
  const knownRunId = partition.masterRunId ?? null;
  if (knownRunId !== null && info.runId !== knownRunId) return { kind: "lost", master };
  if (info.role !== "master") return { kind: "lost", master };
  return { kind: "served", replicationId: info.replicationId };
}

/** A partition whose next master is on its way. A restart on the way may have cost its data: choose again. */
function situationOfPromoting(promoting: string, input: PartitionInput): Situation {
  if (input.unsettled.has(promoting)) return { kind: "promoting" };
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
