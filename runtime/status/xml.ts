// xml.ts: the report as XML; the schema is docs/status.xsd. Pure.
// Names are those of the JSON format. Items without a value are left out.
import { create } from "xmlbuilder2";
import type { XMLBuilder } from "xmlbuilder2/lib/interfaces.js";
import type { PartitionView, Rescue } from "../core/view.ts";
import type { ReportNode } from "./knowledge.ts";
import type { StatusReport } from "./report.ts";

export const STATUS_NAMESPACE = "urn:twine:status:1";

type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** One well-formed, indented document, ending with a line feed. */
export function renderXml(report: StatusReport): string {
  const { view } = report;
  const document = create({ version: "1.0", encoding: "UTF-8" });
  const root = element(document, "status", {
    xmlns: STATUS_NAMESPACE,
    cluster: report.cluster,
    state: report.state,
    epoch: view?.epoch ?? 0,
    revision: view?.revision ?? 0,
    alpha: view?.alpha,
    alphaAlive: report.alphaAlive,
    updatedAt: view?.updatedAt,
    confDigest: view?.confDigest,
  });
  if (view?.hashing !== undefined) element(root, "hashing", { ...view.hashing });
  const partitions = element(root, "partitions", {});
  for (const partition of report.partitions) addPartition(partitions, partition);
  const nodes = element(root, "nodes", {});
  for (const node of report.nodes) addNode(nodes, node);
  addRegister(root, report);
  for (const { why, ...entry } of view?.malformed ?? []) {
    element(root, "malformed", entry, why);
  }
  if (view?.backup !== undefined) {
    const { lastAt, since, isOverdue, failed, archive } = view.backup;
    const { backupAgeMs } = report;
    const ageSeconds = backupAgeMs === null ? null : Math.floor(backupAgeMs / 1000);
    element(root, "backup", { lastAt, ageSeconds, since, isOverdue }, failed);
    if (archive !== undefined) element(root, "archive", { ...archive });
    const { rehearsal } = view.backup;
    if (rehearsal !== undefined) {
      element(root, "rehearsal", { lastAt: rehearsal.lastAt }, rehearsal.failed);
    }
  }
  addReshard(root, report);
  if (view?.mailFailed !== undefined) {
    element(root, "mailFailed", { since: view.mailFailed.since }, view.mailFailed.why);
  }
  const problems = element(root, "problems", {});
  for (const { code, severity, subject, host, text, remedy } of report.problems) {
    const problem = element(problems, "problem", { code, severity, subject, host });
    element(problem, "text", {}, text);
    if (remedy !== null) element(problem, "remedy", {}, remedy);
  }
  return `${document.end({ prettyPrint: true })}\n`;
}

function addPartition(parent: XMLBuilder, partition: PartitionView): void {
  const { index, replicationId, lastMaster } = partition;
  const child = element(parent, "partition", { index, replicationId, lastMaster });
  if (partition.master !== null) element(child, "master", {}, partition.master);
  for (const name of partition.replicas) element(child, "replica", {}, name);
  for (const name of partition.dead) element(child, "dead", {}, name);
  if (partition.needs !== null) element(child, "needs", {}, partition.needs);
  if (partition.following) {
    const { host, port, phase, since, by, isBack } = partition.following;
    element(child, "following", { host, port, phase, since, by, isBack });
  }
  if (partition.cameFrom) element(child, "cameFrom", { ...partition.cameFrom });
  if (partition.handover) element(child, "handover", { ...partition.handover });
}

function addNode(parent: XMLBuilder, node: ReportNode): void {
  const { name, kind, host, port, db, partition, role, inSync, runId, since } = node;
  const { retiring, otherConf, otherSettings } = node;
  const place = { name, kind, host, port, db, partition };
  const facts = { ...place, role, inSync, runId, since, retiring, otherConf, otherSettings };
  const child = element(parent, "node", facts);
  if (node.rescue !== undefined) addRescue(child, "rescue", node.rescue);
  for (const earlier of node.earlierRescues ?? []) addRescue(child, "earlierRescue", earlier);
}

function addRescue(parent: XMLBuilder, name: string, rescue: Rescue): void {
  const { runId, kind, place, at, upTo, why } = rescue;
  element(parent, name, { runId, kind, place, at, ...upTo }, why);
}

function addReshard(parent: XMLBuilder, { view, reshardProgress }: StatusReport): void {
  const reshard = view?.reshard ?? null;
  if (reshard === null) return;
  const { by, since, phase, failed } = reshard;
  const { step, longestHoldMs, sources = [] } = reshardProgress ?? {};
  const child = element(parent, "reshard", { by, since, phase, step, longestHoldMs });
  for (const { partition, keys, keysTotal, bytes, lagBytes } of sources) {
    element(child, "source", { partition, keys, keysTotal, bytes, lagBytes });
  }
  if (failed !== undefined) element(child, "failed", {}, failed);
}

function addRegister(parent: XMLBuilder, report: StatusReport): void {
  const { statusCount: statusNodes, confirmations } = report;
  const register = element(parent, "register", { statusNodes, confirmations });
  for (const name of report.answered) element(register, "answered", {}, name);
  for (const [name, { kind, cause }] of report.silent) {
    element(register, "silent", { name, kind }, cause.message);
  }
}

function element(
  parent: XMLBuilder,
  name: string,
  attributes: Attributes,
  text?: string,
): XMLBuilder {
  const given = Object.entries(attributes).flatMap(([key, value]) =>
    value === null || value === undefined ? [] : [[key, allowed(String(value))]],
  );
  const child = parent.ele(name, Object.fromEntries(given) as Record<string, string>);
  return text === undefined ? child : child.txt(allowed(text)).up();
}

/** XML 1.0 can't represent most control characters (https://www.w3.org/TR/xml/#charsets): U+FFFD replaces them. */
function allowed(text: string): string {
  return text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD");
}
