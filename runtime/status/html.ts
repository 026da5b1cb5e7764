// html.ts: the report as one self-contained page. Pure: the caller reads the template.
// templates/status.html.hbs has the layout; this file prepares its values. Everything is escaped.
import Handlebars from "handlebars";
import { hashingName, type Hashing } from "../core/hashing.ts";
import type { PartitionView } from "../core/view.ts";
import { countsOf } from "./counts.ts";
import { foldByHost } from "./fold-by-host.ts";
import type { ReportNode } from "./knowledge.ts";
import { reshardSourceTexts } from "./reshard-lines.ts";
import { forPeople } from "./times.ts";
import type { StatusReport } from "./report.ts";

/**
 * Renders `templateText` (Handlebars) with the page's model. `asOf`: when the report was made, ISO 8601; a saved page shows
 * its age. Throws Handlebars's error for a broken template.
 */
export function renderHtml(report: StatusReport, templateText: string, asOf: string): string {
  const template = Handlebars.create().compile<PageModel>(templateText, {
    strict: true,
    knownHelpersOnly: true,
  });
  return template(pageModel(report, asOf));
}

type PageModel = ReturnType<typeof pageModel>;

/** From this many partitions on, a map of small squares is shown above the cards. */
const MAP_FROM = 13;

function pageModel(report: StatusReport, asOf: string) {
  const { view } = report;
  return {
    cluster: report.cluster,
    state: report.state,
    meaning: meaningOf(report),
    asOf,
    asOfText: forPeople(asOf),
    facts: [
      { label: "Epoch", value: String(view?.epoch ?? "-") },
      { label: "Revision", value: String(view?.revision ?? "-") },
      { label: "Alpha", value: alphaOf(report) },
      { label: "Last change", value: view === null ? "-" : forPeople(view.updatedAt) },
      {
        label: "Held by",
        value: `${report.confirmations} of ${report.statusCount} status nodes`,
      },
      ...keyFacts(view?.hashing),
      ...reshardFacts(report),
      ...(report.lastBackup === null ? [] : [{ label: "Last backup", value: report.lastBackup }]),
      ...(report.archive === null ? [] : [{ label: "Archive", value: report.archive }]),
      ...(report.lastRehearsal === null
        ? []
        : [{ label: "Last rehearsal", value: report.lastRehearsal }]),
      ...(report.archiveGap === null ? [] : [{ label: "Archive gap", value: report.archiveGap }]),
    ],
    counts: countsOf(report).map(({ title, total, roles, behind }) => ({
      // "1 router", not "1 routers".
      label: total === 1 ? title.replace(/s$/, "") : title,
      total,
      roles: roles.map(({ role, count }) => ({ role, count })),
      behind,
    })),
    problems: foldByHost(report.problems).map((problem) => ({
      ...problem,
      remedy: problem.remedy ?? "",
    })),
    hasMap: report.partitions.length >= MAP_FROM,
    partitions: report.partitions.map((partition) => partitionModel(partition, report.nodes)),
    groups: [
      { title: "Status nodes", nodes: nodeRows(report, "status") },
      { title: "Monitors", nodes: nodeRows(report, "monitor") },
      { title: "Routers", nodes: nodeRows(report, "router") },
    ].filter((group) => group.nodes.length > 0),
  };
}

/** Of few partitions each one, so that the facts stay readable. */
function reshardFacts({ resharding, reshardProgress }: StatusReport) {
  if (resharding === null) return [];
  const sources = reshardSourceTexts(reshardProgress);
  const each = sources.length < MAP_FROM ? sources : [];
  return [
    { label: "Resharding", value: resharding },
    ...each.map((value) => ({ label: "Moving", value })),
  ];
}

function keyFacts(hashing: Hashing | undefined) {
  if (hashing === undefined) return [];
  const { fingerprint } = hashing;
  return [
    { label: "Keys by", value: hashingName({ ...hashing, fingerprint: null }) },
    { label: "Fingerprint", value: fingerprint ?? "not recorded" },
  ];
}

function meaningOf(report: StatusReport): string {
  switch (report.state) {
    case "OK":
      return "Every partition has its master, and every node is alive and in sync.";
    case "DEGRADED":
      return "Every partition was last seen with a master, but not everything is well.";
    case "HALT":
      if (report.problems.some(({ code }) => code === "REGISTER_LOST")) {
        return "No monitor can become alpha: a majority of the status nodes lost its data.";
      }
      return report.view === null && report.isSentinels !== true
        ? "No view has been published."
        : "Some partition has no master.";
  }
}

function alphaOf(report: StatusReport): string {
  if (report.view === null) return "none";
  return report.alphaAlive ? report.view.alpha : `${report.view.alpha} (silent)`;
}

function nodeRows(report: StatusReport, kind: ReportNode["kind"]) {
  return report.nodes
    .filter((node) => node.kind === kind)
    .map((node) => {
      const isAlpha = kind === "monitor" && report.alphaAlive && node.name === report.view?.alpha;
      return { ...nodeModel(node), isAlpha };
    });
}

function nodeModel(node: ReportNode) {
  return {
    name: node.name,
    host: node.host,
    port: node.port,
    role: node.role,
    isBehind: node.role !== "dead" && !node.inSync,
    since: node.since ?? "",
    sinceText: node.since === null ? "unknown" : forPeople(node.since),
  };
}

function partitionModel(partition: PartitionView, nodes: readonly ReportNode[]) {
  const named = [partition.master, ...partition.replicas, ...partition.dead];
  const members = named.flatMap((name) => nodes.find((node) => node.name === name) ?? []);
  const rows = members.map(nodeModel);
  const isWell = rows.every((row) => row.role !== "dead" && !row.isBehind);
  return {
    index: partition.index,
    state: partition.master === null ? "HALT" : isWell ? "OK" : "DEGRADED",
    needs: partition.needs ?? "",
    nodes: rows,
  };
}
