// json.ts: the published view with the effective state, and the reader's own knowledge. Pure.
// The schema is docs/status.schema.json. A field may be added freely; changing or removing one needs an ADR.
import type { StatusReport } from "./report.ts";

/** Indented JSON, ending with a line feed. Before the first view epoch and revision are 0, alpha and times null. */
export function renderJson(report: StatusReport): string {
  const { view } = report;
  const document = {
    // First, so that fields that this version does not know are kept.
    ...view,
    cluster: report.cluster,
    state: report.state,
    epoch: view?.epoch ?? 0,
    revision: view?.revision ?? 0,
    alpha: view?.alpha ?? null,
    alphaAlive: report.alphaAlive,
    updatedAt: view?.updatedAt ?? null,
    confDigest: view?.confDigest ?? null,
    ...(view?.backup === undefined
      ? {}
      : {
          backup: {
            ...view.backup,
            ageSeconds: report.backupAgeMs === null ? null : Math.floor(report.backupAgeMs / 1000),
          },
        }),
    ...(report.reshardProgress === undefined
      ? {}
      : { reshard: { ...view?.reshard, progress: report.reshardProgress } }),
    partitions: report.partitions,
    nodes: report.nodes,
    register: {
      statusNodes: report.statusCount,
      confirmations: report.confirmations,
      answered: report.answered,
      silent: [...report.silent].map(([name, { kind, cause }]) => ({
        name,
        kind,
        why: cause.message,
      })),
    },
    problems: report.problems,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
