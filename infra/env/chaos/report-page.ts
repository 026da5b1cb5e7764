// report-page.ts: the report of a chaos run as one self-contained page, and as lines of text. Pure.
// templates/chaos.html.hbs defines the layout. Everything is escaped.
import Handlebars from "handlebars";
import type { Cut } from "./schedule.ts";
import { errorsText, type ChaosMeasure, type FaultReport, type Verdict } from "./promises.ts";

/** What `twine-env chaos` writes as JSON. */
export interface ChaosReport extends ChaosMeasure {
  readonly name: string;
  readonly seed: number;
  /** ISO 8601. */
  readonly begun: string;
  readonly durationMs: number;
  /** A signal ended it early. */
  readonly isInterrupted: boolean;
  /** The error that ended the run early; null when there was none. */
  readonly brokenOff: string | null;
  readonly verdicts: readonly Verdict[];
  /** The first of the lost keys. */
  readonly lostKeys: readonly string[];
  /** Nodes that got no fault, with the reason; one line each. */
  readonly leftAlone: readonly string[];
}

/** Whether every guarantee of the settings held and the run was complete. */
export function isKept({ verdicts, brokenOff }: ChaosReport): boolean {
  return brokenOff === null && verdicts.every(({ kept }) => kept !== false);
}

/** Throws Handlebars's error for a broken template. */
export function renderChaosPage(report: ChaosReport, templateText: string): string {
  const template = Handlebars.create().compile(templateText, {
    strict: true,
    knownHelpersOnly: true,
  });
  return template({
    name: report.name,
    result: isKept(report) ? "kept" : "broken",
    seed: report.seed,
    begun: report.begun,
    minutes: (report.durationMs / 60_000).toFixed(1),
    ended: endOf(report) ?? "",
    verdicts: report.verdicts.map(({ kept, ...words }) => ({ ...words, result: resultOf(kept) })),
    faults: report.faults.map((fault, index) => ({
      number: index + 1,
      what: faultText(fault),
      at: seconds(fault.atMs),
      gap: seconds(fault.longestGapMs),
      recovered: fault.okAfterMs === null ? "never" : seconds(fault.okAfterMs),
      errors: errorsText(fault.errors),
    })),
    lostKeys: report.lostKeys,
    leftAlone: report.leftAlone,
  });
}

/** For a terminal. */
export function chaosLines(report: ChaosReport): string[] {
  const ended = endOf(report);
  return [
    `${report.name}: ${report.faults.length} faults in ${seconds(report.durationMs)}, seed ${report.seed}; longest gap ${seconds(report.longestGapMs)}`,
    ...(ended === undefined ? [] : [ended]),
    ...report.verdicts.map(
      ({ kept, setting, promise, measured }) =>
        `${resultOf(kept)}: ${measured} (${setting}: ${promise})`,
    ),
    ...report.leftAlone.map((line) => `left alone: ${line}`),
  ];
}

export function faultText({
  kind,
  cut,
  node,
  wasMaster,
  forMs,
}: Pick<FaultReport, "kind" | "cut" | "node" | "wasMaster" | "forMs">): string {
  const what = wasMaster ? `master ${node}` : node;
  if (kind === "kill") return `killed ${what}, started again ${seconds(forMs)} later`;
  if (cut === undefined) return `paused ${what} for ${seconds(forMs)}`;
  return `cut ${what} off from ${CUT_FROM[cut.from]}${CUT_WAY[cut.way]} for ${seconds(forMs)}`;
}

const CUT_FROM: Readonly<Record<Cut["from"], string>> = {
  all: "all",
  nodes: "data nodes, status nodes and monitors",
};
const CUT_WAY: Readonly<Record<Cut["way"], string>> = {
  both: "",
  sends: " (what it sends)",
  receives: " (what it receives)",
};

function endOf({ isInterrupted, brokenOff }: ChaosReport): string | undefined {
  if (brokenOff !== null) return `the run ended early: ${brokenOff}`;
  return isInterrupted ? "the run was interrupted" : undefined;
}

function resultOf(kept: boolean | null): string {
  if (kept === null) return "not promised";
  return kept ? "kept" : "broken";
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
