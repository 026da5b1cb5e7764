// json.ts: the view as published, its state made effective, and what the reader knows beside it. Pure.
// The schema is docs/status.schema.json. Adding a field is free, changing or removing one needs an ADR.
import type { StatusReport } from "./report.ts";

/** Two-space JSON ending with a line feed. Before the first view epoch and revision are 0, alpha and times null. */
export function renderJson(report: StatusReport): string {
  const { view } = report;
  const document = {
    // First, so that fields which this version does not know are handed on.
    ...view,
    cluster: report.cluster,
    state: report.state,
    epoch: view?.epoch ?? 0,
    revision: view?.revision ?? 0,
    alpha: view?.alpha ?? null,
    alphaAlive: report.alphaAlive,
    updatedAt: view?.updatedAt ?? null,
    confDigest: view?.confDigest ?? null,
    partitions: report.partitions,
    nodes: report.nodes,
    register: {
      statusNodes: report.statusCount,
      confirmations: report.confirmations,
      answered: report.answered,
      silent: [...report.silent].map(([name, why]) => ({ name, why })),
    },
    problems: report.problems,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
