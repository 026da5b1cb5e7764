// problems.ts: what is wrong with a cluster, one sentence each, with the command that mends it. Pure.
// Every format of twine-status tells the same list, so that a person, a script and a web page never disagree.
import { addressOf, majorityOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { hashingClash } from "../core/hashing.ts";
import { CLUSTER_REMEDY } from "../core/same-cluster.ts";
import type { PartitionView } from "../core/view.ts";
import { FOREIGN_REMEDY, isForeign } from "../register/read.ts";
import type { ReportNode, StatusKnowledge } from "./knowledge.ts";
import { linesToPutBack } from "./hashing-lines.ts";
import { nodeNotes } from "./node-notes.ts";
import type { StatusProblem } from "./problem.ts";

interface Known extends StatusKnowledge {
  readonly partitions: readonly PartitionView[];
  readonly nodes: readonly ReportNode[];
  readonly statusCount: number;
}

/** Everything that is wrong, the worst first; empty when nothing is. A wrong twine.conf comes before all: it changes
    no state, for the cluster has none of it, but whoever goes on with it loses sight of keys. */
export function problemsOf(config: ClusterConfig, known: Known): StatusProblem[] {
  // A lost register explains the missing view and the missing alpha; their remedies would not help.
  const lost = registerLost(config, known);
  const isLost = lost.length > 0;
  const problems =
    known.view === null
      ? [...(isLost ? lost : [noView(known)]), ...silentStatusNodes(config, known)]
      : [
          ...lost,
          ...withoutMaster(known),
          ...(isLost ? [] : withoutAlpha(known)),
          ...silentStatusNodes(config, known),
          ...(isLost ? [] : viewNotHeld(known)),
          ...known.nodes.filter(isDeadInView(known)).map(deadNode),
          ...known.nodes.filter(isBehindMaster(known)).map(notInSync),
          ...nodeNotes(known.nodes),
        ];
  const rank = { HALT: 0, DEGRADED: 1, NOTE: 2 };
  problems.sort((a, b) => rank[a.severity] - rank[b.severity]);
  // With another hashing the other differences are no matter: nobody must take this file over.
  const hashing = hashingDiffers(config, known);
  return [...hashing, ...problems, ...(hashing.length > 0 ? [] : confDiffers(config, known))];
}

/** The only problem that there is to tell: nothing else is known of the reader's own cluster. */
export function otherCluster(clash: string): StatusProblem {
  const [code, subject] = ["CLUSTER_DIFFERS", "twine.conf"] as const;
  return { code, severity: "HALT", subject, host: null, text: clash, remedy: CLUSTER_REMEDY };
}

function hashingDiffers(config: ClusterConfig, { view }: Known): StatusProblem[] {
  const clash = view === null ? undefined : hashingClash(view, config);
  if (clash === undefined) return [];
  return [
    {
      code: "HASHING_DIFFERS",
      severity: "NOTE",
      subject: "twine.conf",
      host: null,
      text: `sends keys to other partitions than those where they lie, nothing may read or write with it: ${clash}`,
      remedy: `put back: ${linesToPutBack(view?.hashing ?? "", config).join(", ")}`,
    },
  ];
}

/** No promise of a majority can be had even when every silent status node comes back: nothing is ever chosen again. */
function registerLost(config: ClusterConfig, known: Known): StatusProblem[] {
  const { emptied, statusCount } = known;
  if (statusCount - emptied.length >= majorityOf(statusCount)) return [];
  const hold = emptied.length === 1 ? "holds" : "hold";
  const all = nodesOf(config, "status").map(({ name }) => name);
  return [
    {
      code: "REGISTER_LOST",
      severity: "HALT",
      subject: "alpha",
      host: null,
      text:
        `there can be none: ${someOf(emptied)} ${hold} nothing any more, and without ` +
        `${emptied.length} of ${statusCount} status nodes no monitor gets a majority`,
      remedy:
        `twine-stop on every host; empty the data folders of all status nodes (${someOf(all)}); ` +
        "twine-setup and twine-start on every host: the keys stay, the roles are found anew",
    },
  ];
}

function noView(known: Known): StatusProblem {
  return {
    code: "NO_VIEW",
    severity: "HALT",
    subject: "view",
    host: null,
    text: known.alphaAlive
      ? "has not been published yet: a monitor has just become alpha"
      : known.silent.size > 0
        ? "is held by none of the status nodes that answer"
        : "has not been published yet: no monitor has become alpha",
    remedy: known.alphaAlive ? null : "twine-start",
  };
}

function withoutMaster(known: Known): StatusProblem[] {
  const lost = known.partitions.filter((partition) => partition.master === null);
  const waits = known.alphaAlive
    ? "has no master; the alpha is looking for one"
    : "has no master, and no alpha looks for one";
  return lost.map((partition) => ({
    code: "NO_MASTER",
    severity: "HALT",
    subject: `partition ${partition.index}`,
    host: null,
    text: partition.needs === null ? waits : `has no master; it needs: ${partition.needs}`,
    remedy: partition.needs === null ? null : startIfDown(partition, known),
  }));
}

/**
 * The view does not tell a node that does not run from one that waits for its partition's master: both are dead. What
 * does not run is to be started before anybody accepts a loss, and starting what runs does nothing.
 */
function startIfDown({ dead }: PartitionView, known: Known): string | null {
  const hosts = known.nodes.filter(({ name }) => dead.includes(name)).map(({ host }) => host);
  if (hosts.length === 0) return null;
  const commands = [...new Set(hosts)].map((host) => `twine-start ${host}`);
  const one = dead.length === 1 ? "" : "one of ";
  return `should ${one}${someOf(dead)} not run: ${commands.join("; ")}`;
}

function withoutAlpha(known: Known): StatusProblem[] {
  if (known.alphaAlive || known.view === null) return [];
  const { alpha, updatedAt } = known.view;
  return [
    {
      code: "NO_ALPHA",
      severity: "DEGRADED",
      subject: "alpha",
      host: null,
      text: `${alpha} does not renew its lease: the view, last changed ${forPeople(updatedAt)}, may be stale`,
      remedy: "twine-start",
    },
  ];
}

/** `does not answer: WHY`, or the other reason for which a status node does not count. */
export function silenceOf(why: string): string {
  return isForeign(why) ? why : `does not answer: ${why}`;
}

function silentStatusNodes(config: ClusterConfig, known: Known): StatusProblem[] {
  return [...known.silent].map(([name, why]) => {
    const node = config.nodes.find((other) => other.name === name && other.kind === "status");
    const place = node === undefined ? "" : ` at ${node.host}:${node.port}`;
    // A link's error begins with the address that has just been said.
    const prefix = node === undefined ? "" : `${addressOf(node.host)}:${node.port}: `;
    const cause = why.startsWith(prefix) ? why.slice(prefix.length) : why;
    const isOther = isForeign(why);
    const start = node === undefined ? null : `twine-start ${node.host}`;
    return {
      code: isOther ? "STATUS_FOREIGN" : "STATUS_SILENT",
      severity: "DEGRADED",
      subject: name,
      host: node?.host ?? null,
      text: `status node${place} ${silenceOf(cause)}`,
      remedy: isOther ? FOREIGN_REMEDY : start,
    };
  });
}

function viewNotHeld(known: Known): StatusProblem[] {
  const missing = known.answered.length - known.confirmations;
  if (missing <= 0) return [];
  const what = missing === 1 ? "1 status node answers" : `${missing} status nodes answer`;
  const who = known.alphaAlive ? "the alpha" : "the next alpha";
  return [
    {
      code: "VIEW_NOT_HELD",
      severity: "DEGRADED",
      subject: "view",
      host: null,
      text: `${what} without holding it; ${who} brings ${missing === 1 ? "it" : "them"} up to date`,
      remedy: null,
    },
  ];
}

/**
 * The dead nodes that have no better sentence already.
 * 1. A silent status node: why it is silent.
 * 2. A data node of a partition that waits: what the partition needs. Without a master even a node that runs is dead,
 *    for it serves nothing.
 */
function isDeadInView(known: Known): (node: ReportNode) => boolean {
  const waiting = new Set(
    known.partitions
      .filter(({ master, needs }) => master === null && needs !== null)
      .map(({ index }) => index),
  );
  return ({ kind, name, partition, role }) => {
    if (role !== "dead") return false;
    if (kind === "status") return !known.silent.has(name);
    return partition === null || !waiting.has(partition);
  };
}

/** `data node of partition 3 at db1:6666`, `monitor at db1:7600`. */
export function placeOf(node: ReportNode): string {
  const words = { data: "data node", status: "status node", monitor: "monitor", router: "router" };
  const partition = node.partition === null ? "" : ` of partition ${node.partition}`;
  return `${words[node.kind]}${partition} at ${node.host}:${node.port}`;
}

function deadNode(node: ReportNode): StatusProblem {
  const since = node.since === null ? "" : ` since ${forPeople(node.since)}`;
  return {
    code: "NODE_DEAD",
    severity: "DEGRADED",
    subject: node.name,
    host: node.host,
    text: `${placeOf(node)} is dead${since}`,
    remedy: `twine-start ${node.host}`,
  };
}

/** Without a master there is nothing to be in sync with, and that there is none has been said. */
function isBehindMaster(known: Known): (node: ReportNode) => boolean {
  const served = new Set(
    known.partitions.filter(({ master }) => master !== null).map(({ index }) => index),
  );
  return ({ inSync, partition, role }) =>
    role !== "dead" && !inSync && (partition === null || served.has(partition));
}

function notInSync(node: ReportNode): StatusProblem {
  return {
    code: "NOT_IN_SYNC",
    severity: "DEGRADED",
    subject: node.name,
    host: node.host,
    text: `${placeOf(node)} is not in sync with its master`,
    remedy: null,
  };
}

function confDiffers(config: ClusterConfig, known: Known): StatusProblem[] {
  if (known.view === null) return [];
  const inConf = new Set(config.nodes.map((node) => node.name));
  const inView = new Set(known.nodes.map((node) => node.name));
  const onlyConf = [...inConf].filter((name) => !inView.has(name));
  const onlyView = [...inView].filter((name) => !inConf.has(name));
  if (onlyConf.length === 0 && onlyView.length === 0) return [];
  const parts = [
    onlyConf.length === 0 ? "" : `names ${someOf(onlyConf)}, which the view does not have`,
    onlyView.length === 0 ? "" : `lacks ${someOf(onlyView)} of the view`,
  ];
  return [
    {
      code: "CONF_DIFFERS",
      severity: "NOTE",
      subject: "twine.conf",
      host: null,
      text: parts.filter((part) => part !== "").join(" and "),
      remedy: "give every monitor this file and restart it, or read the one they have",
    },
  ];
}

function someOf(names: readonly string[]): string {
  const shown = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}

/** 2026-03-01T10:00:07.123Z -> 2026-03-01 10:00:07 UTC; anything else stays as it is. */
export function forPeople(time: string): string {
  return time.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, "$1 $2 UTC");
}
