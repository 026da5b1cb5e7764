// list.ts: one line per node in aligned columns, for grep, awk and eyes. Pure.
// Every column always holds one word ("-" for what has no meaning), so that columns can be counted.
import type { ReportNode } from "./knowledge.ts";
import type { StatusReport } from "./report.ts";

const HEAD = ["NAME", "KIND", "ADDRESS", "PARTITION", "ROLE", "SYNC", "SINCE"];

/** A line of titles, then data nodes by partition, status nodes, monitors, routers; no trailing spaces. */
export function renderList(report: StatusReport): string {
  const rows = [HEAD, ...report.nodes.map(columnsOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((word, column) => word.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
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
  ].map((word) => word.replace(/[\s\p{Cc}\p{Cf}]+/gu, "_"));
}

/** Being in sync is a matter of masters and replicas alone. */
function syncOf(node: ReportNode): string {
  if (node.kind !== "data" || node.role === "dead") return "-";
  return node.inSync ? "in-sync" : "behind";
}
