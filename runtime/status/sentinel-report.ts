// sentinel-report.ts: the state of a cluster that Redis Sentinel watches, from the answers of its nodes and Sentinels.
// Pure. There is no register and no view: roles come from the nodes themselves; if two are masters, Sentinel's answer
// decides.
import { nodesOf, type ClusterConfig, type ClusterNode, type DataNode } from "../core/cluster.ts";
import type { Problem } from "../core/errors.ts";
import type { PartitionView } from "../core/view.ts";
import type { ReportNode } from "./knowledge.ts";
import type { StatusProblem } from "./problem.ts";
import type { StatusReport } from "./report.ts";

/** The answer of one node. */
export type NodeAnswer =
  | {
      readonly kind: "answered";
      /** up: a Sentinel or a twemproxy. */
      readonly role: "master" | "replica" | "up";
      /** For a replica: its link to its master is up and the copy is complete. */
      readonly inSync: boolean;
      readonly runId: string | null;
      readonly version?: string;
    }
  | { readonly kind: "silent"; readonly why: string };

export interface StackObservation {
  /** By name, every node of twine.conf. */
  readonly nodes: ReadonlyMap<string, NodeAnswer>;
  /** By partition, the name of the master by Sentinel; undefined: unknown. */
  readonly masters: readonly (string | undefined)[];
  /** Problems of the Sentinels. */
  readonly problems: readonly Problem[];
}

const KINDS: readonly ClusterNode["kind"][] = ["data", "status", "monitor", "router"];

export function sentinelReport(config: ClusterConfig, seen: StackObservation): StatusReport {
  const partitions = Array.from({ length: config.settings.partitions }, (_, index) =>
    partitionOf(config, seen, index),
  );
  const nodes = KINDS.flatMap((kind) => nodesOf(config, kind)).map((node) =>
    reportNode(node, seen.nodes.get(node.name)),
  );
  const problems = [
    ...partitions.filter(({ master }) => master === null).map(noMaster),
    ...seen.problems.map(sentinelProblem),
    ...nodes.flatMap((node) => nodeProblems(node, seen, partitions)),
  ];
  const state = problems.some(({ severity }) => severity === "HALT")
    ? "HALT"
    : problems.length > 0
      ? "DEGRADED"
      : "OK";
  return {
    ...{ cluster: config.settings.cluster, state, partitions, nodes, problems },
    isSentinels: true,
    view: null,
    ...{ confirmations: 0, answered: [], silent: new Map(), emptied: [], alphaAlive: false },
    ...{
      statusCount: 0,
      backupAgeMs: null,
      lastBackup: null,
      lastRehearsal: null,
      archive: null,
      archiveGap: null,
      resharding: null,
    },
  };
}

/** The partition's master is the node that reports master; if there are two, the one that Sentinel names. */
function partitionOf(config: ClusterConfig, seen: StackObservation, index: number): PartitionView {
  const data = nodesOf(config, "data").filter((node) => node.partition === index);
  const roleOf = ({ name }: DataNode): string => {
    const answer = seen.nodes.get(name);
    return answer?.kind === "answered" ? answer.role : "dead";
  };
  const masters = data.filter((node) => roleOf(node) === "master");
  const named = masters.find(({ name }) => name === seen.masters[index]);
  const master = named ?? (masters.length === 1 ? masters[0] : undefined);
  const others = (role: string): string[] =>
    data.filter((node) => roleOf(node) === role && node !== master).map(({ name }) => name);
  return {
    ...{ index, master: master?.name ?? null, replicas: others("replica"), dead: others("dead") },
    ...{ replicationId: null, lastMaster: master?.name ?? null, needs: null },
  };
}

function reportNode(node: ClusterNode, answer: NodeAnswer | undefined): ReportNode {
  const isUp = answer?.kind === "answered";
  return {
    ...{ name: node.name, kind: node.kind, host: node.host, port: node.port },
    db: node.kind === "data" ? node.db : null,
    partition: node.kind === "data" ? node.partition : null,
    role: isUp ? answer.role : "dead",
    inSync: isUp && answer.inSync,
    runId: isUp ? answer.runId : null,
    since: null,
    ...(isUp && answer.version !== undefined ? { version: answer.version } : {}),
  };
}

function noMaster({ index }: PartitionView): StatusProblem {
  return {
    code: "NO_MASTER",
    severity: "HALT",
    subject: `partition ${index}`,
    host: null,
    text: "has no master, or Sentinel is still electing one",
    remedy: null,
  };
}

function sentinelProblem({ message, remedy }: Problem): StatusProblem {
  const about = { subject: "Sentinel", host: null, text: message, remedy: remedy ?? null };
  return { code: "UNDECIDED", severity: "DEGRADED", ...about };
}

function nodeProblems(
  node: ReportNode,
  seen: StackObservation,
  partitions: readonly PartitionView[],
): StatusProblem[] {
  const about = { severity: "DEGRADED", subject: node.name, host: node.host } as const;
  const answer = seen.nodes.get(node.name);
  if (answer?.kind !== "answered") {
    const text = `does not answer: ${answer?.why ?? "it was not asked"}`;
    return [{ ...about, code: "NODE_DEAD", text, remedy: `twine-start ${node.name}` }];
  }
  if (!answer.inSync) {
    const text = "is a replica that does not reach its master, or still copies from it";
    return [{ ...about, code: "NOT_IN_SYNC", text, remedy: null }];
  }
  const isOther =
    answer.role === "master" && partitions[node.partition ?? -1]?.master !== node.name;
  if (!isOther) return [];
  const text = "is a master too; Sentinel makes it a replica within seconds";
  return [{ ...about, code: "FOREIGN_MASTER", text, remedy: null }];
}
