// data-nodes.ts: the role of every data node of one partition in the next view, from its INFO. Pure.
// The view follows facts: a node is master or replica in it when its INFO shows that, not because the alpha sent a command.
import { addressOf } from "../../../core/cluster.ts";
import { without } from "../../../core/without.ts";
import type { NodeRole, NodeView, PartitionView } from "../../../core/view.ts";
import type { NodeInfo } from "./info.ts";
import { isFollowingOld } from "../follow/follow-action.ts";
import { judgeSync, type SyncMark, type SyncMarks } from "./in-sync.ts";
import type { NodeHealth } from "./node-health.ts";
import { troublesOf } from "./node-troubles.ts";
import type { NodeObservation } from "./observations.ts";

export interface DataNodesInput {
  /** The result of decidePartition. */
  readonly partition: PartitionView;
  /** The node that was being promoted before that. */
  readonly promotingBefore: string | null;
  readonly nodes: readonly NodeView[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly marks: SyncMarks;
  readonly wallTime: string;
  readonly observations: ReadonlyMap<string, NodeObservation>;
  /** Every data node of the view. */
  readonly dataNodes: readonly NodeView[];
  readonly downAfterMs: number;
}

export interface DataNodesDecision {
  readonly nodes: readonly NodeView[];
  readonly marks: SyncMarks;
}

export function decideDataNodes(input: DataNodesInput): DataNodesDecision {
  const marks = new Map(input.marks);
  const nodes = input.nodes.map((node) => {
    const health = input.nodeHealth.get(node.name) ?? { kind: "unknown" };
    const role = roleOf(node, health, input);
    const runId = runIdOf(node, health, input.promotingBefore);
    const isInSync = syncOf(node, role, health, input, marks);
    const since = role === node.role ? node.since : input.wallTime;
    const next = { ...node, role, runId, inSync: isInSync, since };
    const known = node.syncedRunId ?? null;
    const syncedRunId = role === "master" ? null : role === "replica" && isInSync ? runId : known;
    const seen = syncedRunId === known ? next : { ...next, syncedRunId };
    return withOtherSettings(withTroubles(seen, health, input), input);
  });
  return { nodes, marks };
}

function withTroubles(node: NodeView, health: NodeHealth, input: DataNodesInput): NodeView {
  const rest: NodeView = without(node, "troubles");
  const version = health.kind === "up" ? health.info.version : undefined;
  const next = version === undefined ? rest : { ...rest, version };
  const observation = input.observations.get(node.name);
  // The node was not asked yet, or is being asked again: keep the troubles.
  const isUnknown = health.kind === "unknown";
  const troubles = isUnknown
    ? (node.troubles ?? [])
    : troublesOf({ ...input, node: next, health, observation });
  return troubles.length === 0 ? next : { ...next, troubles };
}

/** While a node was not asked yet, its `otherSettings` stay. */
function withOtherSettings(node: NodeView, { observations }: DataNodesInput): NodeView {
  const found = observations.get(node.name)?.otherSettings;
  if (found === undefined || found === (node.otherSettings ?? "")) return node;
  return found === "" ? without(node, "otherSettings") : { ...node, otherSettings: found };
}

/**
 * The run id of the process that answers. Of a node that is already being promoted: the run id of the chosen process, which
 * shows whether the promoted process is still the compared one. A failed observation must not change it.
 */
function runIdOf(
  node: NodeView,
  health: NodeHealth,
  promotingBefore: string | null,
): string | null {
  if (health.kind !== "up") return node.runId;
  return promotingBefore === node.name && node.runId !== null ? node.runId : health.info.runId;
}

/**
 * 1. The partition's master: master, whatever its health is now.
 * 2. Down: dead. Silent or being asked again: a replica stays replica, any other is dead.
 * 3. Up and loaded: replica when it follows the partition's master (without a master: the last one).
 * 4. A replica that has not restarted stays replica: it is being repointed or promoted.
 * 5. Otherwise dead, because it serves no client.
 */
function roleOf(node: NodeView, health: NodeHealth, input: DataNodesInput): NodeRole {
  const { partition } = input;
  if (partition.master === node.name) return "master";
  if (health.kind === "down") return "dead";
  if (health.kind !== "up") return node.role === "replica" ? "replica" : "dead";
  const { info } = health;
  const isCandidate = partition.promoting === node.name;
  if (info.isLoading || (info.role === "master" && !isCandidate)) return "dead";
  const following = partition.following ?? null;
  if (following !== null) return isFollowingOld(info, following) ? "replica" : "dead";
  const leader = partition.master ?? partition.lastMaster;
  const followed = input.nodes.find(({ name }) => name === leader);
  if (followed !== undefined && isFollowing(info, followed)) return "replica";
  return node.role === "replica" && node.runId === info.runId ? "replica" : "dead";
}

/** Whether a node's INFO shows that it is a replica of `master`. */
export function isFollowing(info: NodeInfo, master: Pick<NodeView, "host" | "port">): boolean {
  const { following } = info;
  return following?.host === addressOf(master.host) && following.port === master.port;
}

/** Whether a node is in sync. Also updates the marks: one for each replica that is catching up. */
function syncOf(
  node: NodeView,
  role: NodeRole,
  health: NodeHealth,
  input: DataNodesInput,
  marks: Map<string, SyncMark>,
): boolean {
  if (role === "master") return true;
  const { master, following } = input.partition;
  if (following !== undefined && following !== null) {
    marks.delete(node.name);
    // Its offset can't be judged here: twine-follow compares it before a node may take over.
    return role === "replica" && health.kind === "up" ? health.info.isLinkUp : false;
  }
  const masterHealth = master === null ? undefined : input.nodeHealth.get(master);
  if (role !== "replica" || health.kind === "down" || master === null) {
    marks.delete(node.name);
    return false;
  }
  // One of the two is silent at the moment: nothing is known, so nothing changes.
  if (health.kind !== "up" || masterHealth?.kind !== "up") return node.inSync;
  const judged = judgeSync({
    wasInSync: node.inSync && node.runId === health.info.runId,
    replica: { ...health, node },
    master: masterHealth,
    namesakes: input.nodes.filter(({ name, port }) => port === node.port && name !== master),
    mark: marks.get(node.name),
  });
  if (judged.mark === undefined) marks.delete(node.name);
  else marks.set(node.name, judged.mark);
  return judged.isInSync;
}
