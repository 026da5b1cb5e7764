// report.ts: computes the report from the observations of a reader of the status nodes. Pure.
//
//   readings of the register + twine.conf  ->  StatusReport  ->  summary, list, xml, html, json
//
// Invariant: the reported state is never better than the view's own, and never OK while the reader has a reason for doubt:
// no alpha renews its lease (the view may be stale), or a status node is silent.
import {
  nodesOf,
  type ClusterConfig,
  type ClusterNode,
  type DataNode,
  type StatusNode,
} from "../core/cluster.ts";
import { compareNames } from "../core/natural-order.ts";
import type { Hashing } from "../core/hashing.ts";
import { clusterMismatch } from "../core/same-cluster.ts";
import type { ClusterState, NodeView, PartitionView, View } from "../core/view.ts";
import type { ReportNode, StatusKnowledge } from "./knowledge.ts";
import type { StatusProblem } from "./problem.ts";
import {
  archiveGapText,
  archiveText,
  backupAgeMs,
  lastBackupText,
  lastRehearsalText,
} from "./backup-lines.ts";
import { reshardText } from "./reshard-lines.ts";
import { otherCluster, problemsOf } from "./problems.ts";

export interface StatusReport extends StatusKnowledge {
  /** Redis Sentinel watches the cluster: there is no view, and none is needed. */
  readonly isSentinels?: true;
  readonly cluster: string;
  /** The effective state: the view's own, or a worse one by the reader's observations. */
  readonly state: ClusterState;
  /** By index; before the first view the partitions of twine.conf, without masters. */
  readonly partitions: readonly PartitionView[];
  /** Data nodes by partition, then status nodes, monitors and routers, each first to last. */
  readonly nodes: readonly ReportNode[];
  /** The number of status nodes in twine.conf. */
  readonly statusCount: number;
  /** The age of the newest backup that the alpha knows; null without one. */
  readonly backupAgeMs: number | null;
  /** The newest backup, for people; null when the view has no backups. */
  readonly lastBackup: string | null;
  /** The archive, for people; null without one. */
  readonly archive: string | null;
  /** The last successful rehearsal, for people; null when backups are not rehearsed. */
  readonly lastRehearsal: string | null;
  readonly archiveGap: string | null;
  /** How far a resharding is, for people; null without one. */
  readonly resharding: string | null;
  /** Worst first. */
  readonly problems: readonly StatusProblem[];
}

/**
 * The report. `config` has the status nodes, and everything before the first view. If the view is another cluster's, only
 * that is reported. `hashing`: the one that `config` names; absent: a built-in one, or it was not read. `adopted`: the
 * adopted twine.conf, if it differs from `config` and is known. `wallTime`: now, ISO 8601, for ages.
 */
export function reportOf(
  config: ClusterConfig,
  seen: StatusKnowledge,
  hashing?: Hashing,
  adopted?: ClusterConfig,
  wallTime?: string,
): StatusReport {
  const mismatch = seen.view === null ? undefined : clusterMismatch(seen.view, config);
  const knowledge: StatusKnowledge =
    mismatch === undefined ? seen : { ...seen, view: null, confirmations: 0, alphaAlive: false };
  const { view } = knowledge;
  const partitions = view === null ? partitionsBeforeFirst(config) : view.partitions;
  const nodes = view === null ? nodesBeforeFirst(config, knowledge) : nodesSeen(view, knowledge);
  const statusCount = nodesOf(config, "status").length;
  const known = { ...knowledge, partitions, nodes, statusCount };
  const problems =
    mismatch === undefined ? problemsOf(config, known, hashing, adopted) : [otherCluster(mismatch)];
  return {
    ...known,
    backupAgeMs: backupAgeMs(view, wallTime),
    lastBackup: lastBackupText(view, wallTime),
    archive: archiveText(view),
    lastRehearsal: lastRehearsalText(view),
    archiveGap: archiveGapText(view),
    resharding: reshardText(knowledge.reshardProgress),
    cluster: view?.cluster ?? config.settings.cluster,
    state: effectiveState(view, problems),
    problems,
  };
}

function effectiveState(view: View | null, problems: readonly StatusProblem[]): ClusterState {
  const states = [view?.state ?? "HALT", ...problems.map((problem) => problem.severity)];
  if (states.includes("HALT")) return "HALT";
  return states.includes("DEGRADED") ? "DEGRADED" : "OK";
}

const KINDS: readonly NodeView["kind"][] = ["data", "status", "monitor", "router"];

function inOrder(nodes: readonly ReportNode[]): ReportNode[] {
  return [...nodes].sort(
    (a, b) =>
      KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) ||
      (a.partition ?? 0) - (b.partition ?? 0) ||
      compareNames(a.name, b.name),
  );
}

/** The view's nodes; a status node that is silent to this reader is shown as dead, whatever its role in the view. */
function nodesSeen(view: View, knowledge: StatusKnowledge): ReportNode[] {
  const nodes = view.nodes.map(withoutSeenRescue).map((node): ReportNode => {
    const isNewlyDead =
      node.kind === "status" && node.role !== "dead" && knowledge.silent.has(node.name);
    return isNewlyDead ? { ...node, role: "dead", inSync: false, since: null } : node;
  });
  return inOrder(nodes);
}

/** A rescue that an operator has handled is not reported. */
function withoutSeenRescue(node: NodeView): NodeView {
  const { rescue, earlierRescues, ...rest } = node;
  const isTold = rescue?.isSeen !== true && (rescue ?? earlierRescues) !== undefined;
  return isTold ? node : rest;
}

/** Nodes are dead before a monitor has seen them; the reader itself has seen only the status nodes. */
function nodesBeforeFirst(config: ClusterConfig, knowledge: StatusKnowledge): ReportNode[] {
  const nodes = config.nodes.map((node): ReportNode => {
    const isUp = node.kind === "status" && knowledge.answered.includes(node.name);
    return {
      name: node.name,
      kind: node.kind,
      host: node.host,
      port: node.port,
      db: hasDb(node) ? node.db : null,
      partition: node.kind === "data" ? node.partition : null,
      role: isUp ? "up" : "dead",
      inSync: isUp,
      runId: null,
      since: null,
    };
  });
  return inOrder(nodes);
}

function hasDb(node: ClusterNode): node is DataNode | StatusNode {
  return node.kind === "data" || node.kind === "status";
}

function partitionsBeforeFirst(config: ClusterConfig): PartitionView[] {
  const dataNodes = nodesOf(config, "data");
  return Array.from({ length: config.settings.partitions }, (_, index) => ({
    index,
    master: null,
    replicas: [],
    dead: dataNodes.filter((node) => node.partition === index).map((node) => node.name),
    replicationId: null,
    lastMaster: null,
    needs: null,
  }));
}
