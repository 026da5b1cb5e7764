// report.ts: from what a reader of the status nodes saw to what it may honestly say. Pure.
//
//   readings of the register + twine.conf  ->  StatusReport  ->  summary, list, xml, html, json
//
// Invariant: the state reported is never better than the view's own, and never OK while the reader itself has a reason
// to doubt: no alpha renews its lease (the view may be stale), or a status node is silent. A stale OK would be a lie.
import {
  nodesOf,
  type ClusterConfig,
  type ClusterNode,
  type DataNode,
  type StatusNode,
} from "../core/cluster.ts";
import { compareNames } from "../core/natural-order.ts";
import { clusterClash } from "../core/same-cluster.ts";
import type { ClusterState, NodeView, PartitionView, View } from "../core/view.ts";
import type { ReportNode, StatusKnowledge } from "./knowledge.ts";
import type { StatusProblem } from "./problem.ts";
import { otherCluster, problemsOf } from "./problems.ts";

export interface StatusReport extends StatusKnowledge {
  readonly cluster: string;
  /** The effective state: the view's own, made worse by what the reader knows. */
  readonly state: ClusterState;
  /** By index; before the first view those of twine.conf, without a master. */
  readonly partitions: readonly PartitionView[];
  /** Data nodes by partition, then status nodes, monitors and routers, each first to last. */
  readonly nodes: readonly ReportNode[];
  /** How many status nodes twine.conf names. */
  readonly statusCount: number;
  /** The worst first. */
  readonly problems: readonly StatusProblem[];
}

/**
 * Says what the knowledge amounts to. `config` gives the status nodes, and everything before the first view. Of another
 * cluster's view nothing is told but that it is one.
 */
export function reportOf(config: ClusterConfig, seen: StatusKnowledge): StatusReport {
  const clash = seen.view === null ? undefined : clusterClash(seen.view, config);
  const knowledge: StatusKnowledge =
    clash === undefined ? seen : { ...seen, view: null, confirmations: 0, alphaAlive: false };
  const { view } = knowledge;
  const partitions = view === null ? partitionsBeforeFirst(config) : view.partitions;
  const nodes = view === null ? nodesBeforeFirst(config, knowledge) : nodesSeen(view, knowledge);
  const statusCount = nodesOf(config, "status").length;
  const known = { ...knowledge, partitions, nodes, statusCount };
  const problems = clash === undefined ? problemsOf(config, known) : [otherCluster(clash)];
  return {
    ...known,
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

/** The view's nodes; a status node that is silent to this reader is dead to it, whatever the view still says. */
function nodesSeen(view: View, knowledge: StatusKnowledge): ReportNode[] {
  const nodes = view.nodes.map(withoutSeenRescue).map((node): ReportNode => {
    const isNewlyDead =
      node.kind === "status" && node.role !== "dead" && knowledge.silent.has(node.name);
    return isNewlyDead ? { ...node, role: "dead", inSync: false, since: null } : node;
  });
  return inOrder(nodes);
}

/** What somebody has seen to is news to nobody. */
function withoutSeenRescue(node: NodeView): NodeView {
  const { rescue, earlierRescues, ...rest } = node;
  const isTold = rescue?.isSeen !== true && (rescue ?? earlierRescues) !== undefined;
  return isTold ? node : rest;
}

/** A node is dead until a monitor says otherwise; only the status nodes have been seen by the reader itself. */
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
