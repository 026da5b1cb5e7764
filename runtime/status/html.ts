// html.ts: the report as one page that needs nothing but itself. Pure: the caller reads the template.
// templates/status.html.hbs decides how it looks; this file only says what there is to show. Everything is escaped.
import Handlebars from "handlebars";
import type { PartitionView } from "../core/view.ts";
import { countsOf } from "./counts.ts";
import { foldByHost } from "./fold-by-host.ts";
import type { ReportNode } from "./knowledge.ts";
import { forPeople } from "./problems.ts";
import type { StatusReport } from "./report.ts";

/** Renders `templateText` (Handlebars) over the page's model. Throws what Handlebars throws for a broken template. */
export function renderHtml(report: StatusReport, templateText: string): string {
  const template = Handlebars.create().compile<PageModel>(templateText, {
    strict: true,
    knownHelpersOnly: true,
  });
  return template(pageModel(report));
}

type PageModel = ReturnType<typeof pageModel>;

/** From this many partitions on, a map of small squares stands above the cards. */
const MAP_FROM = 13;

function pageModel(report: StatusReport) {
  const { view } = report;
  return {
    cluster: report.cluster,
    state: report.state,
    meaning: meaningOf(report),
    facts: [
      { label: "Epoch", value: String(view?.epoch ?? "-") },
      { label: "Revision", value: String(view?.revision ?? "-") },
      { label: "Alpha", value: alphaOf(report) },
      { label: "Last change", value: view === null ? "-" : forPeople(view.updatedAt) },
      {
        label: "Held by",
        value: `${report.confirmations} of ${report.statusCount} status nodes`,
      },
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

function meaningOf(report: StatusReport): string {
  switch (report.state) {
    case "OK":
      return "Every partition has its master, and every node is alive and in sync.";
    case "DEGRADED":
      return "Every partition was last seen with a master, but not everything is well.";
    case "HALT":
      if (report.problems.some(({ code }) => code === "REGISTER_LOST")) {
        return "No monitor can become alpha: a majority of the status nodes lost what it held.";
      }
      return report.view === null ? "No view has been published." : "Some partition has no master.";
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
