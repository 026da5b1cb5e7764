// refusals.ts: the changes of twine.conf that are refused while the cluster runs, and the safe way for each. Pure.
//
// A refusal names what would be lost. If an operator may decide to accept the loss, --force makes the change; if a running
// cluster can't make the change at all, --force does not help.
import { nodesOf, type ClusterConfig, type DataNode } from "../../../runtime/core/cluster.ts";
import type { Problem } from "../../../runtime/core/errors.ts";
import { isNewerVersion } from "../../../runtime/core/server-versions.ts";
import type { Change } from "../diff-nodes.ts";
import { groupBy } from "../group-by.ts";
import type { RollingNode } from "./decide-steps.ts";

export interface Refusal {
  readonly problem: Problem;
  /** What is lost with --force; absent: --force can't do it. */
  readonly lost?: string;
}

export interface ChangeToJudge {
  /** The adopted twine.conf; undefined when it is the one to apply, or not known. */
  readonly before: ClusterConfig | undefined;
  readonly after: ClusterConfig;
  /** The changes between them (diffPlans). */
  readonly changes: readonly Change[];
  /** Data nodes with their needs. */
  readonly nodes: readonly RollingNode[];
  readonly versions: readonly NodeVersions[];
}

/** For one node: "redis 7.0.15" runs, "redis 7.2.4" would run. */
export interface NodeVersions {
  readonly name: string;
  readonly running: string;
  readonly installed: string;
}

/** In the order: settings, nodes, partitions, versions. */
export function refusalsOf(judged: ChangeToJudge): Refusal[] {
  const { before, after, changes } = judged;
  const lastCopies = groupBy(changes.filter(isLastCopy), ({ partition = -1 }) => partition);
  return [
    ...changes.filter((change) => !isLastCopy(change)).flatMap(refusedChange),
    ...[...lastCopies].flatMap(([partition, leaving]) => leavingLast(after, partition, leaving)),
    ...(before === undefined
      ? []
      : [...movesTogether(before, after, lastCopies), ...statusNodes(before, after)]),
    ...restartsWithoutOthers(after, judged.nodes),
    ...downgrades(judged.versions),
  ];
}

function refusedChange({ text, danger }: Change): Refusal[] {
  if (danger === undefined) return [];
  const { why, remedy } = danger;
  return [{ problem: { code: "CHANGE_REFUSED", message: `${text}: ${why}`, remedy } }];
}

function isLastCopy({ kind, partition, danger }: Change): boolean {
  return (
    danger !== undefined && partition !== undefined && (kind === "removed" || kind === "moved")
  );
}

/** One refusal for all nodes of a partition of which none stays. A partition that is gone is refused with the changed
    `partitions`. */
function leavingLast(
  after: ClusterConfig,
  partition: number,
  leaving: readonly Change[],
): Refusal[] {
  if (!nodesOf(after, "data").some((node) => node.partition === partition)) return [];
  const names = leaving.map(({ subject }) => subject).join(", ");
  const leave = leaving.length === 1 ? "leaves its place" : "leave their places";
  const problem = {
    code: "CHANGE_REFUSED",
    message: `${names} of partition ${partition} ${leave}, and no other node with its data stays`,
    remedy: leaving[0]?.danger?.remedy ?? "",
  };
  // The alpha itself waits for a copy: the remaining risk is that the old node fails before.
  const lost = `every key of partition ${partition}, when its old nodes fail before a new one is in sync`;
  return [{ problem, lost }];
}

/** Nodes that keep their names and move to another address are down until they have copied the data again. */
function movesTogether(
  before: ClusterConfig,
  after: ClusterConfig,
  refused: ReadonlyMap<number, unknown>,
): Refusal[] {
  const now = new Map(nodesOf(after, "data").map((node) => [node.name, node]));
  const moved = nodesOf(before, "data").filter((node) => isElsewhere(node, now.get(node.name)));
  return [...groupBy(moved, ({ partition }) => partition)].flatMap(([partition, nodes]) => {
    if (nodes.length < 2 || refused.has(partition)) return [];
    const names = nodes.map(({ name }) => name).join(", ");
    return [
      {
        problem: {
          code: "MOVES_TOGETHER",
          message: `${names} of partition ${partition} move in one edit: all of them are away at once, until they are copied anew`,
          remedy: "move one of them, run twine-apply and wait for OK, then the next",
        },
        lost: `every key of partition ${partition}, when the nodes that stay fail before that`,
      },
    ];
  });
}

function isElsewhere(old: DataNode, now: DataNode | undefined): boolean {
  if (now === undefined || now.partition !== old.partition) return false;
  return now.host !== old.host || now.port !== old.port;
}

/** Two majorities could decide independently: the monitors would refuse to lead. */
function statusNodes(before: ClusterConfig, after: ClusterConfig): Refusal[] {
  const places = (config: ClusterConfig): string[] =>
    nodesOf(config, "status").map(({ name, host, port, db }) => `${name} ${host}:${port}/${db}`);
  const [old, now] = [places(before), places(after)];
  const gone = old.filter((place) => !now.includes(place));
  const come = now.filter((place) => !old.includes(place));
  if (gone.length + come.length <= 1) return [];
  return [
    {
      problem: {
        code: "STATUS_NODES_TOGETHER",
        message: `the status nodes were ${old.join(", ")} and are to be ${now.join(", ")}: two of them change at once`,
        remedy:
          "add or remove one, run twine-apply and wait for OK, then the next; to replace or move one, add the new one under another name first",
      },
    },
  ];
}

/** Partitions whose clients would get errors while one of their nodes restarts. */
function restartsWithoutOthers(after: ClusterConfig, nodes: readonly RollingNode[]): Refusal[] {
  const members = groupBy(nodesOf(after, "data"), ({ partition }) => partition);
  const restarting = nodes.filter(({ need }) => need.kind === "restart");
  const { ackReplicas } = after.settings;
  return [...groupBy(restarting, ({ partition }) => partition)].flatMap(([partition, group]) => {
    const count = members.get(partition)?.length ?? 0;
    // While one node restarts, the master and the remaining replicas serve.
    const replicas = count - 2;
    if (count > 1 && replicas >= ackReplicas) return [];
    const [first] = group;
    const why =
      count === 1
        ? `it is the only node of partition ${partition}`
        : `partition ${partition} has ${count} nodes, and ack-replicas is ${ackReplicas}`;
    const lost =
      count === 1
        ? `partition ${partition} serves nobody while ${first?.name ?? "it"} restarts`
        : `writes to partition ${partition} are refused while one of its nodes restarts`;
    return [
      {
        problem: {
          code: "TOO_FEW_REPLICAS",
          message: `${group.map(({ name }) => name).join(", ")} must restart, and ${why}`,
          remedy: `add a line for another node of partition ${partition} to twine.conf, run twine-apply, then make this change`,
        },
        lost,
      },
    ];
  });
}

function downgrades(versions: readonly NodeVersions[]): Refusal[] {
  const older = versions.filter(({ running, installed }) => isDowngrade(running, installed));
  return [...groupBy(older, ({ running, installed }) => `${running} ${installed}`)].map(
    ([, group]) => {
      const { running, installed } = group[0] ?? { running: "", installed: "" };
      const names = group.map(({ name }) => name).join(", ");
      return {
        problem: {
          code: "SERVER_OLDER",
          message: `${names}: ${running} runs, and ${installed} is installed: an older server can't be relied on to read the data of a newer one, nor to follow it`,
          remedy: `install ${running} or a newer one, or put its folder first on PATH, and run twine-apply again`,
        },
      };
    },
  );
}

/** Between servers of different names the RDB version is compared. */
export function isDowngrade(running: string, installed: string): boolean {
  if (isNewerVersion(running, installed)) return true;
  const [from, to] = [rdbVersionOf(running), rdbVersionOf(installed)];
  if (from === undefined || to === undefined) return false;
  // Valkey began as Redis 7.2 and refuses the RDBs of all later Redis versions.
  const isForeign = running.startsWith("redis ") && installed.startsWith("valkey ") && from > 11;
  return isForeign || from > to;
}

/** Redis's own RDB_VERSION (rdb.h of each release); undefined when it is not known. */
function rdbVersionOf(version: string): number | undefined {
  const [, server = "", major = "", minor = ""] = /^(\w+) (\d+)\.(\d+)/.exec(version) ?? [];
  const release = Number(major) * 100 + Number(minor);
  if (server === "valkey") return release < 900 ? 11 : 80;
  if (server !== "redis" || release < 500) return undefined;
  if (release < 700) return 9;
  if (release < 702) return 10;
  return release < 704 ? 11 : 12;
}
