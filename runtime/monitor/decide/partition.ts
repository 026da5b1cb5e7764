// partition.ts: decides which node is master of one partition in the next view. Pure.
//
//   without master --choice--> promoting --reports master--> served --refused, down, restarted--> without master, failover
//                                  | down or restarted
//                                  +--> without master
//
// Invariants: a view names a master only after that node reported master, so no router sends to a node that can't serve.
// Only a node that a chosen view names as `promoting` is promoted, so two monitors never promote two nodes. Without a
// master only nodes that are not stale count: their INFO is newer than the last action on them.
import type { NodeView, PartitionView } from "../../core/view.ts";
import { without } from "../../core/without.ts";
import { chooseMaster } from "./failover/choose-master.ts";
import { failoverFrom, isKnownDead } from "./failover/failover.ts";
import { isNewerVersion } from "../../core/server-versions.ts";
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
  | { readonly kind: "without-master" };

/** The partition in the next view, without `replicas` and `dead`, which follow from the nodes' roles. */
export function decidePartition(input: PartitionInput): PartitionView {
  const { partition } = input;
  const situation = situationOf(input);
  switch (situation.kind) {
    case "served":
      // Redis changes its replication id when its backlog expires; the data is the same.
      return {
        ...without(partition, "suspended"),
        replicationId: situation.replicationId,
        needs: null,
        ...suspension(input),
      };
    case "lost":
      return lost(input, situation.master);
    case "promoting":
      return partition;
    case "promoted":
      return {
        ...without(partition, "suspended"),
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
    case "without-master":
      return chooseNext(input);
  }
}

function lost(input: PartitionInput, master: string): PartitionView {
  const failover = failoverFrom(input, master);
  const rest = without(input.partition, "suspended");
  return { ...rest, master: null, lastMaster: master, promoting: null, failover };
}

function suspension(input: PartitionInput): Pick<PartitionView, "suspended"> {
  const { partition, observations, rules } = input;
  const isSuspended = rules.isSuspended(observations.get(partition.master ?? ""), input);
  return isSuspended ? { suspended: true } : {};
}

/** The node to be promoted is gone. After a handover the view has no record of the replicas yet, so it is made here. */
function stuck(input: PartitionInput): PartitionView {
  const { partition } = input;
  const { lastMaster } = partition;
  const isRecorded = lastMaster === null || (partition.failover ?? null) !== null;
  if (isRecorded) return { ...partition, promoting: null };
  return { ...partition, promoting: null, failover: failoverFrom(input, lastMaster) };
}

function chooseNext(input: PartitionInput): PartitionView {
  const partition = withLatestNews(input);
  const choice = chooseMaster({ ...input, partition });
  switch (choice.kind) {
    case "promote": {
      const promoting = { ...partition, promoting: choice.node, needs: null };
      return withHandsBack(promoting, choice.node, input);
    }
    case "wait":
      return partition.needs === choice.needs ? partition : { ...partition, needs: choice.needs };
    case "pending":
      return partition;
  }
}

/**
 * Marks a new master that serves only until an older version's node can: the alpha chose it, no operator asked for it, and
 * its version is newer than another node's.
 * 1. The last master comes back: the mark stays as it was.
 * 2. A failover chose it: marked. 3. An operator accepted a loss, or a first start: not marked.
 */
function withHandsBack(
  partition: PartitionView,
  promoting: string,
  { acceptLossOf, nodes, nodeHealth }: PartitionInput,
): PartitionView {
  if (promoting === partition.lastMaster) return partition;
  const isAlphasChoice = (partition.failover ?? null) !== null && promoting !== acceptLossOf;
  const versionOf = ({ name, version }: NodeView): string | undefined => {
    const health = nodeHealth.get(name);
    return health?.kind === "up" ? health.info.version : version;
  };
  const chosen = nodes.find(({ name }) => name === promoting);
  const isNewer =
    chosen !== undefined &&
    nodes.some((other) => isNewerVersion(versionOf(chosen), versionOf(other)));
  const rest = without(partition, "handsBack");
  return isAlphasChoice && isNewer ? { ...rest, handsBack: true } : rest;
}

/** A master that was silent when it was lost may be known dead now. */
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
  return promoting === null ? { kind: "without-master" } : situationOfPromoting(promoting, input);
}

/**
 * A partition with a master.
 * 1. Down: lost.
 * 2. Silent to this monitor only, or not asked yet: nothing changes.
 * 3. Another run id: it has restarted, starts dead by its configuration, and may have lost its data: lost.
 * 4. It reports replica: somebody demoted it by hand: lost, and the rules of an outage choose the next master.
 */
function situationOfMaster(
  partition: PartitionView,
  master: string,
  input: PartitionInput,
): Situation {
  const health = input.nodeHealth.get(master);
  if (health === undefined || health.kind === "down") return { kind: "lost", master };
  if (health.kind !== "up") return { kind: "served", replicationId: partition.replicationId };
  const { info } = health;
  const knownRunId = partition.masterRunId ?? null;
  if (knownRunId !== null && info.runId !== knownRunId) return { kind: "lost", master };
  if (info.role !== "master") return { kind: "lost", master };
  return { kind: "served", replicationId: info.replicationId };
}

/** A partition with a node to be promoted. If that node restarted, it may have lost its data: choose again. */
function situationOfPromoting(promoting: string, input: PartitionInput): Situation {
  if (input.stale.has(promoting)) return { kind: "promoting" };
  const health = input.nodeHealth.get(promoting);
  if (health === undefined || health.kind === "down") return { kind: "stuck" };
  if (health.kind !== "up") return { kind: "promoting" };
  const { info } = health;
  const chosenRunId = input.nodes.find((node) => node.name === promoting)?.runId ?? null;
  if (chosenRunId !== null && chosenRunId !== info.runId) return { kind: "stuck" };
  if (info.role !== "master") return { kind: "promoting" };
  const { runId, replicationId } = info;
  return { kind: "promoted", node: promoting, runId, replicationId };
}
