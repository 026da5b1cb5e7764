// problems.ts: the problems of a cluster, a sentence each, with the command that repairs it. Pure.
// Every format of twine-status shows the same list, so that a person, a script and a web page agree.
import { majorityOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { confDifference, describeDifference } from "../core/conf/difference.ts";
import {
  builtinHashing,
  hashingMismatch,
  remedyForHashing,
  type Hashing,
} from "../core/hashing.ts";
import { reasonOf, type NodeFailure } from "../core/failure.ts";
import { CLUSTER_REMEDY } from "../core/same-cluster.ts";
import type { PartitionView } from "../core/view.ts";
import { FOREIGN_REMEDY } from "../register/read.ts";
import type { ReportNode, StatusKnowledge } from "./knowledge.ts";
import { nodeNotes } from "./node-notes.ts";
import { backupProblems } from "./backup-lines.ts";
import type { StatusProblem } from "./problem.ts";
import { reshardNotes } from "./reshard-lines.ts";
import { rotationNotes } from "./rotation-lines.ts";
import { forPeople } from "./times.ts";

interface Known extends StatusKnowledge {
  readonly partitions: readonly PartitionView[];
  readonly nodes: readonly ReportNode[];
  readonly statusCount: number;
}

/** All problems, worst first; empty when there are none. A twine.conf with another hashing comes first: it does not change
    the state, because the cluster does not use it, but with it keys are looked for in the wrong partitions. */
export function problemsOf(
  config: ClusterConfig,
  known: Known,
  hashing?: Hashing,
  adopted?: ClusterConfig,
): StatusProblem[] {
  // A lost register is the cause of a missing view and a missing alpha; the remedies for those would not help.
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
          ...undecided(known),
          ...(isLost ? [] : viewNotHeld(known)),
          ...known.nodes.filter(isDeadInView(known)).map(deadNode),
          ...known.nodes.filter(isBehindMaster(known)).map(notInSync),
          ...nodeNotes(known.nodes),
          ...malformedEntries(known),
          ...mailFailed(known),
          ...backupProblems(known.view),
          ...rotationNotes(known.view),
          ...reshardNotes(known.view),
        ];
  const rank = { HALT: 0, DEGRADED: 1, NOTE: 2 };
  problems.sort((a, b) => rank[a.severity] - rank[b.severity]);
  // With another hashing the other differences don't matter: nobody must use this file.
  const differing = hashingDiffers(known, hashing ?? builtinHashing(config.settings));
  return [
    ...differing,
    ...problems,
    ...(differing.length > 0 ? [] : confDiffers(config, known, adopted)),
  ];
}

/** Then it is the only problem: nothing is known of the reader's own cluster. */
export function otherCluster(mismatch: string): StatusProblem {
  const [code, subject] = ["CLUSTER_DIFFERS", "twine.conf"] as const;
  return { code, severity: "HALT", subject, host: null, text: mismatch, remedy: CLUSTER_REMEDY };
}

function hashingDiffers({ view }: Known, own: Hashing): StatusProblem[] {
  const mismatch = view === null ? undefined : hashingMismatch(view, own);
  if (view?.hashing === undefined || mismatch === undefined) return [];
  return [
    {
      code: "HASHING_DIFFERS",
      severity: "NOTE",
      subject: "twine.conf",
      host: null,
      text: `sends keys to other partitions than those that hold them; do not read or write with it: ${mismatch}`,
      remedy: remedyForHashing(view.hashing, own),
    },
  ];
}

/** A majority can't promise any more, even if every silent status node comes back: no view can ever be chosen. */
function registerLost(config: ClusterConfig, known: Known): StatusProblem[] {
  const { emptied, statusCount } = known;
  if (statusCount - emptied.length >= majorityOf(statusCount)) return [];
  const hold = emptied.length === 1 ? "its" : "their";
  const all = nodesOf(config, "status").map(({ name }) => name);
  return [
    {
      code: "REGISTER_LOST",
      severity: "HALT",
      subject: "alpha",
      host: null,
      text:
        `no monitor can become alpha: ${someOf(emptied)} lost ${hold} data, and without ` +
        `${emptied.length} of ${statusCount} status nodes there is no majority`,
      remedy:
        `twine-stop on every host; empty the data folders of all status nodes (${someOf(all)}); ` +
        "twine-setup and twine-start on every host: the keys stay, and the monitors choose the roles again",
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
        ? "is on none of the status nodes that answered"
        : "has not been published yet: no monitor has become alpha",
    remedy: known.alphaAlive ? null : "twine-start",
  };
}

function withoutMaster(known: Known): StatusProblem[] {
  const lost = known.partitions.filter((partition) => partition.master === null);
  const waits = known.alphaAlive
    ? "has no master; the alpha is looking for one"
    : "has no master, and no alpha looks for one";
  const following = lost.filter((partition) => (partition.following ?? null) !== null);
  return lost.map((partition) => ({
    code: following.includes(partition) ? "FOLLOWING" : "NO_MASTER",
    severity: "HALT",
    subject: `partition ${partition.index}`,
    host: null,
    text: following.includes(partition)
      ? followingText(partition)
      : partition.needs === null
        ? waits
        : `has no master; it needs: ${partition.needs}`,
    remedy: partition.needs === null ? null : startIfDown(partition, known),
  }));
}

function followingText({ needs }: PartitionView): string {
  return `is not served here: ${needs ?? "it follows another system's master"}`;
}

/**
 * In the view a node that is stopped and one that waits for its partition's master are both dead. A stopped node must be
 * started before an operator accepts a loss; starting a running one has no effect.
 */
function startIfDown({ dead }: PartitionView, known: Known): string | null {
  const hosts = known.nodes.filter(({ name }) => dead.includes(name)).map(({ host }) => host);
  if (hosts.length === 0) return null;
  const commands = [...new Set(hosts)].map((host) => `twine-start ${host}`);
  const which = dead.length === 1 ? "" : "one of ";
  return `if ${which}${someOf(dead)} is stopped: ${commands.join("; ")}`;
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

function undecided({ view }: Known): StatusProblem[] {
  if (view?.undecided === undefined) return [];
  return [
    {
      code: "UNDECIDED",
      severity: "DEGRADED",
      subject: "alpha",
      host: null,
      text: `${view.alpha} decides nothing about data nodes: ${view.undecided}`,
      remedy: null,
    },
  ];
}

/** `does not answer: WHY`, or another reason why a status node does not count. */
export function silenceOf(failure: NodeFailure): string {
  const reason = reasonOf(failure);
  if (failure.kind === "malformed") return `holds data that can't be read: ${reason}`;
  if (failure.kind === "login") return `refuses the password: ${reason}`;
  return failure.kind === "foreign" ? reason : `does not answer: ${reason}`;
}

function silentStatusNodes(config: ClusterConfig, known: Known): StatusProblem[] {
  return [...known.silent].map(([name, failure]) => {
    const node = config.nodes.find((other) => other.name === name && other.kind === "status");
    const place = node === undefined ? "" : ` at ${node.host}:${node.port}`;
    const isOther = failure.kind === "foreign";
    const again = failure.kind === "login" ? withThePassword(name) : "";
    const start = node === undefined ? null : `${again}twine-start ${node.host}`;
    return {
      code: isOther ? "STATUS_FOREIGN" : "STATUS_SILENT",
      severity: "DEGRADED",
      subject: name,
      host: node?.host ?? null,
      text: `status node${place} ${silenceOf(failure)}`,
      remedy: isOther ? FOREIGN_REMEDY : start,
    };
  });
}

/** A majority accepted the reader's password; this node still uses the password from when it was started. */
function withThePassword(name: string): string {
  return `twine-stop ${name} --no-handover; twine-setup; `;
}

function viewNotHeld(known: Known): StatusProblem[] {
  const missing = known.answered.length - known.confirmations;
  if (missing <= 0) return [];
  const what = missing === 1 ? "1 status node lacks" : `${missing} status nodes lack`;
  const who = known.alphaAlive ? "the alpha" : "the next alpha";
  return [
    {
      code: "VIEW_NOT_HELD",
      severity: "DEGRADED",
      subject: "view",
      host: null,
      text: `${what} the newest view; ${who} sends it to ${missing === 1 ? "it" : "them"}`,
      remedy: null,
    },
  ];
}

/**
 * The dead nodes without another, better problem:
 * 1. A silent status node already has the reason of its silence.
 * 2. A data node of a partition without a master: the partition's needs are shown. There even a running node is dead,
 *    because it serves no client.
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

function isBusy({ troubles = [] }: ReportNode): boolean {
  return troubles.some(({ code }) => code === "BUSY");
}

function deadNode(node: ReportNode): StatusProblem {
  const since = node.since === null ? "" : ` since ${forPeople(node.since)}`;
  return {
    code: "NODE_DEAD",
    severity: "DEGRADED",
    subject: node.name,
    host: node.host,
    text: `${placeOf(node)} is dead${since}`,
    // The node runs; its BUSY trouble has the command that ends the script.
    remedy: isBusy(node) ? null : `twine-start ${node.host}`,
  };
}

/** Without a master no node can be in sync; the missing master is a problem of its own. */
function isBehindMaster(known: Known): (node: ReportNode) => boolean {
  const served = new Set(
    known.partitions.filter(({ master }) => master !== null).map(({ index }) => index),
  );
  return ({ inSync, partition, role, troubles = [] }) =>
    role !== "dead" &&
    !inSync &&
    !troubles.some(({ code }) => code === "NOT_IN_SYNC") &&
    (partition === null || served.has(partition));
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

function mailFailed({ view }: Known): StatusProblem[] {
  if (view?.mailFailed === undefined) return [];
  const { why, since } = view.mailFailed;
  return [
    {
      code: "MAIL_FAILED",
      severity: "NOTE",
      subject: "alert-mail",
      host: null,
      text: `no mail could be sent since ${forPeople(since)}: ${why}`,
      remedy: `to try it, on the host of ${view.alpha}: twined --test-alert`,
    },
  ];
}

function malformedEntries({ view }: Known): StatusProblem[] {
  return (view?.malformed ?? []).map(({ node, hash, field, why, at }) => {
    const entry =
      field === "" ? `the hash ${hash}` : `the entry ${shortText(field)} of the hash ${hash}`;
    return {
      code: "MALFORMED_ENTRY",
      severity: "NOTE",
      subject: node,
      host: null,
      text: `held a malformed entry: ${entry} (${shortText(why)}), removed ${forPeople(at)}`,
      remedy: "find out who wrote it: only monitors and Twine's tools write there",
    };
  });
}

function shortText(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 80)}...`;
}

/** Compares lines if the adopted file is known, otherwise the names of nodes. */
function confDiffers(
  config: ClusterConfig,
  known: Known,
  adopted?: ClusterConfig,
): StatusProblem[] {
  if (known.view === null) return [];
  if (adopted !== undefined) {
    const lines = describeDifference(confDifference(config, adopted));
    return lines === "" ? [] : [differingConf(`is not the adopted one: ${lines}`)];
  }
  const inConf = new Set(config.nodes.map((node) => node.name));
  const inView = new Set(known.nodes.map((node) => node.name));
  const onlyConf = [...inConf].filter((name) => !inView.has(name));
  const onlyView = [...inView].filter((name) => !inConf.has(name));
  if (onlyConf.length === 0 && onlyView.length === 0) return [];
  const parts = [
    onlyConf.length === 0 ? "" : `names ${someOf(onlyConf)}, which the view does not have`,
    onlyView.length === 0 ? "" : `lacks ${someOf(onlyView)}, which the view has`,
  ];
  return [differingConf(parts.filter((part) => part !== "").join(" and "))];
}

function differingConf(text: string): StatusProblem {
  return {
    code: "CONF_DIFFERS",
    severity: "NOTE",
    subject: "twine.conf",
    host: null,
    text,
    remedy:
      "copy this file to every host with a monitor and run twine-reload there, or take the adopted one: twine-status conf",
  };
}

function someOf(names: readonly string[]): string {
  const shown = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}
