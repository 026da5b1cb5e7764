// report.ts: the figures as a table for people and as markdown for docs/performance.md. Pure.
import Table from "cli-table3";
import type { Row } from "./figures.ts";

const COLUMNS = [
  "policy",
  "load",
  "kind",
  "times",
  "median s",
  "worst s",
  "pipelines s",
  "elsewhere s",
  "replies",
  "errors",
  "benchmarks ended",
  "lost",
  "doubled",
  "not as said",
];
const TEXT_COLUMNS = new Set(["policy", "load", "kind", "errors", "benchmarks ended"]);

export function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: COLUMNS,
    colAligns: COLUMNS.map((name) => (TEXT_COLUMNS.has(name) ? "left" : "right")),
    style: { head: [], border: [] },
  });
  for (const row of rows) table.push(cellsOf(row));
  return table.toString();
}

export function markdownOf(rows: readonly Row[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const dashes = COLUMNS.map((name) => (TEXT_COLUMNS.has(name) ? "---" : "---:"));
  return [COLUMNS, dashes, ...rows.map(cellsOf)].map(line).join("\n");
}

function cellsOf(row: Row): string[] {
  const { faults } = row;
  return [
    row.ackReplicas === 0 ? row.policy : `${row.policy}, ack-replicas ${row.ackReplicas}`,
    row.load,
    row.kind,
    String(row.trials),
    seconds(row.medianMs),
    seconds(row.worstMs),
    seconds(row.pipelineMedianMs),
    seconds(row.elsewhereWorstMs),
    row.replies.toLocaleString("en-US"),
    counted(row.errors),
    row.benchmarkCount === 0
      ? "-"
      : `${String(sumOf(row.benchmarkEnds))} of ${row.benchmarkCount} (${counted(row.benchmarkEnds)})`,
    faults.lost === 0 ? "0" : `${faults.lost} in ${row.trialsWithLoss}`,
    String(faults.doubled + faults.ahead),
    String(row.violations),
  ];
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function counted(counts: Readonly<Record<string, number>>): string {
  const all = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
  return all.length === 0 ? "none" : all.join(", ");
}

/** Infinite: nothing was acknowledged within half a minute. */
function seconds(ms: number): string {
  return Number.isFinite(ms) ? (ms / 1000).toFixed(2) : "never";
}
