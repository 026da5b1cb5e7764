// list.ts: one line per node in aligned columns, for grep, awk and people. Pure.
// Every column always holds one word ("-" for no value), so that columns can be counted. There is an eighth column when
// data of some node was rescued: the file, or "kept" when the node still has the data. The last lines are comments: how far
// a resharding is, and the function that assigns keys to partitions.
import { describeHashing } from "../core/hashing.ts";
import type { ReportNode } from "./knowledge.ts";
import type { StatusReport } from "./report.ts";
import { reshardSourceTexts } from "./reshard-lines.ts";

const HEAD = ["NAME", "KIND", "ADDRESS", "PARTITION", "ROLE", "SYNC", "SINCE"];

/** A line of titles, then data nodes by partition, status nodes, monitors, routers; no trailing spaces. */
export function renderList(report: StatusReport): string {
  const hasRescue = report.nodes.some(({ rescue }) => rescue !== undefined);
  const head = hasRescue ? [...HEAD, "RESCUE"] : HEAD;
  const rows = [head, ...report.nodes.map((node) => columnsOf(node).slice(0, head.length))];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((word, column) => word.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const hashing = report.view?.hashing;
  const keys = hashing === undefined ? [] : [`# keys by ${describeHashing(hashing)}`];
  const moves = reshardSourceTexts(report.reshardProgress).map((text) => `# resharding ${text}`);
  return `${[...lines, ...moves, ...keys].join("\n")}\n`;
}

function columnsOf(node: ReportNode): string[] {
  return [
    node.name,
    node.kind,
    `${node.host}:${node.port}`,
    node.partition === null ? "-" : String(node.partition),
    node.role,
    syncOf(node),
    node.since ?? "-",
    node.rescue?.place ?? node.rescue?.kind ?? "-",
  ].map((word) => word.replace(/[\s\p{Cc}\p{Cf}]+/gu, "_"));
}

/** Only masters and replicas can be in sync. */
function syncOf(node: ReportNode): string {
  if (node.kind !== "data" || node.role === "dead") return "-";
  return node.inSync ? "in-sync" : "behind";
}
