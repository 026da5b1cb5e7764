// report.ts: the figures as a table for people and as markdown for docs/performance.md.
import Table from "cli-table3";
import type { Row } from "./figures.ts";

const COLUMNS = [
  "kill",
  "of",
  "kills",
  "median s",
  "worst s",
  "batches s",
  "elsewhere s",
  "acknowledged",
  "lost",
  "worst loss",
  "kills with loss",
];

export function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: COLUMNS,
    colAligns: COLUMNS.map((_, index) => (index < 2 ? "left" : "right")),
    style: { head: [], border: [] },
  });
  for (const row of rows) table.push(cellsOf(row));
  return table.toString();
}

export function markdownOf(rows: readonly Row[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const dashes = COLUMNS.map((_, index) => (index < 2 ? "---" : "---:"));
  return [COLUMNS, dashes, ...rows.map(cellsOf)].map(line).join("\n");
}

function cellsOf(row: Row): string[] {
  return [
    row.kind,
    row.contender,
    String(row.kills),
    seconds(row.medianMs),
    seconds(row.worstMs),
    seconds(row.batchMedianMs),
    row.elsewhereWorstMs === null ? "-" : seconds(row.elsewhereWorstMs),
    row.acknowledged.toLocaleString("en-US"),
    row.lost.toLocaleString("en-US"),
    row.lostWorst.toLocaleString("en-US"),
    String(row.killsWithLoss),
  ];
}

/** Infinite: nothing was acknowledged within half a minute. */
function seconds(ms: number): string {
  return Number.isFinite(ms) ? (ms / 1000).toFixed(2) : "never";
}
