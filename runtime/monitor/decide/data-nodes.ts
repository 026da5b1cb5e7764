// data-nodes.ts: the role of every data node of one partition in the next view, from what it says of itself. Pure.
// The view follows facts: a node is master or replica in it when it has said so, never because it was told to be.
import { addressOf } from "../../core/cluster.ts";
import type { NodeRole, NodeView, PartitionView } from "../../core/view.ts";
import type { NodeInfo } from "./info.ts";
import { judgeSync, type SyncMark, type SyncMarks } from "./in-sync.ts";
import type { Standing } from "./standing.ts";

export interface DataNodesInput {
  /** As decidePartition left it. */
  readonly partition: PartitionView;
  /** Who was on its way to being master before that. */
  readonly promotingBefore: string | null;
  readonly nodes: readonly NodeView[];
  readonly standings: ReadonlyMap<string, Standing>;
  readonly marks: SyncMarks;
  readonly wallTime: string;
}

export interface DataNodesDecision {
  readonly nodes: readonly NodeView[];
  readonly marks: SyncMarks;
}

export function decideDataNodes(input: DataNodesInput): DataNodesDecision {
  const marks = new Map(input.marks);
  const nodes = input.nodes.map((node) => {
    const standing = input.standings.get(node.name) ?? { kind: "unknown" };
    const role = roleOf(node, standing, input);
    const runId = runIdOf(node, standing, input.promotingBefore);
    const isInSync = syncOf(node, role, standing, input, marks);
    const since = role === node.role ? node.since : input.wallTime;
    const next = { ...node, role, runId, inSync: isInSync, since };
    const known = node.syncedRunId ?? null;
    const syncedRunId = role === "master" ? null : role === "replica" && isInSync ? runId : known;
    return syncedRunId === known ? next : { ...next, syncedRunId };
  });
  return { nodes, marks };
}

/**
 * The process that answers; but of a node that was on its way to being master already the one that was chosen, whoever
 * answers since: it proves that what was compared is what is promoted. A look that comes to nothing must not renew it.
 */
function runIdOf(
  node: NodeView,
  standing: Standing,
  promotingBefore: string | null,
): string | null {
  if (standing.kind !== "up") return node.runId;
  return promotingBefore === node.name && node.runId !== null ? node.runId : standing.info.runId;
}

/**
 * 1. The partition's master: master, whatever the moment's standing.
 * 2. Down: dead. Silent or being asked again: as it was, but an earlier master is no master any more.
 * 3. Up, with its data loaded: replica when it follows the partition's master (or, while there is none, the last one).
 * 4. One that was a replica and has not restarted is only on its way from one master to the next, or to being one: still
 *    a replica.
 * 5. Dead otherwise, because it serves nothing.
 */
function roleOf(node: NodeView, standing: Standing, input: DataNodesInput): NodeRole {
  const { partition } = input;
  if (partition.master === node.name) return "master";
  if (standing.kind === "down") return "dead";
  if (standing.kind !== "up") return node.role === "replica" ? "replica" : "dead";
  const { info } = standing;
  const isHeir = partition.promoting === node.name;
  if (info.isLoading || (info.role === "master" && !isHeir)) return "dead";
  const leader = partition.master ?? partition.lastMaster;
  const followed = input.nodes.find(({ name }) => name === leader);
  if (followed !== undefined && isFollowing(info, followed)) return "replica";
  return node.role === "replica" && node.runId === info.runId ? "replica" : "dead";
}

/** Whether a node's INFO says that it is a replica of `master`. */
export function isFollowing(info: NodeInfo, master: Pick<NodeView, "host" | "port">): boolean {
  const { following } = info;
  return following?.host === addressOf(master.host) && following.port === master.port;
}

/** Also keeps the marks: one per replica that is on its way into sync. */
function syncOf(
  node: NodeView,
  role: NodeRole,
  standing: Standing,
  input: DataNodesInput,
  marks: Map<string, SyncMark>,
): boolean {
  if (role === "master") return true;
  const master = input.partition.master;
  const masterStanding = master === null ? undefined : input.standings.get(master);
  if (role !== "replica" || standing.kind === "down" || master === null) {
    marks.delete(node.name);
    return false;
  }
  // Either of the two is silent for the moment: nothing is known, nothing is changed.
  if (standing.kind !== "up" || masterStanding?.kind !== "up") return node.inSync;
  const judged = judgeSync({
    wasInSync: node.inSync && node.runId === standing.info.runId,
    replica: { ...standing, node },
    master: masterStanding,
    namesakes: input.nodes.filter(({ name, port }) => port === node.port && name !== master),
    mark: marks.get(node.name),
  });
  if (judged.mark === undefined) marks.delete(node.name);
  else marks.set(node.name, judged.mark);
  return judged.isInSync;
}
