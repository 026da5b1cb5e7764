// summary.ts: the cluster on one terminal of 80x24, whatever its size: its state, its nodes, its problems. Pure.
//
//   twine  HALT  epoch 4, revision 31, alpha m1
//
//     partitions     2   1 master, 1 without
//     data nodes     6   1 master, 2 replica, 3 dead
//
//     partition 1  has no master; it needs: …
import { hashingName } from "../core/hashing.ts";
import { countsOf } from "./counts.ts";
import { foldByHost } from "./fold-by-host.ts";
import type { StatusProblem } from "./problem.ts";
import { forPeople } from "./times.ts";
import type { StatusReport } from "./report.ts";

export interface SummaryOptions {
  /** Colours by ANSI escapes. */
  readonly color: boolean;
  /** Columns of the terminal; no line is longer. */
  readonly width: number;
}

/** A terminal has 24 lines; the prompts before and after need two of them. */
const LINES_MAX = 22;
const WIDTH_MIN = 40;

type Paint = "good" | "poor" | "bad" | "dim" | "bold";
const CODES: Readonly<Record<Paint, string>> = {
  good: "30;42",
  poor: "30;43",
  bad: "1;97;41",
  dim: "2",
  bold: "1",
};
const STATE_PAINT = { OK: "good", DEGRADED: "poor", HALT: "bad" } as const;

/** At most 22 lines of at most `width` columns (40 at least), ending with a line feed. */
export function renderSummary(report: StatusReport, options: SummaryOptions): string {
  const width = Math.max(options.width, WIDTH_MIN);
  const paint = (kind: Paint, text: string): string =>
    options.color ? `\u001b[${CODES[kind]}m${text}\u001b[0m` : text;
  const head = [...headLines(report, width, paint), "", ...countLines(report, width), ""];
  return `${[...head, ...problemLines(report, width, LINES_MAX - head.length, paint)].join("\n")}\n`;
}

function headLines(
  report: StatusReport,
  width: number,
  paint: (kind: Paint, text: string) => string,
): string[] {
  const { view } = report;
  const facts =
    view === null
      ? report.isSentinels === true
        ? "watched by Redis Sentinel"
        : "no view yet"
      : `epoch ${view.epoch}, revision ${view.revision}, alpha ${view.alpha}, ` +
        `changed ${forPeople(view.updatedAt)}`;
  // With colour the state is a badge; the spaces around it keep the columns equal without colour.
  const badge = paint(STATE_PAINT[report.state], ` ${report.state} `);
  const used = report.cluster.length + report.state.length + 4;
  const [first = "", ...rest] = wrap(facts, Math.max(width - used, 20));
  const isWide = used + first.length <= width;
  if (isWide && rest.length === 0) return [`${paint("bold", report.cluster)} ${badge} ${first}`];
  return [`${paint("bold", report.cluster)} ${badge}`, ...wrap(facts, width - 2).map(indent)];
}

function countLines(report: StatusReport, width: number): string[] {
  const withMaster = report.partitions.filter((partition) => partition.master !== null).length;
  const without = report.partitions.length - withMaster;
  const isOld = report.view !== null && !report.alphaAlive;
  const hashing = report.view?.hashing;
  const partitions = [
    `${withMaster} with a master`,
    ...(without === 0 ? [] : [`${without} without`]),
    // No alpha updates the view any more, so it may be outdated.
    ...(isOld ? ["when last seen"] : []),
    ...(hashing === undefined ? [] : [`keys by ${hashingName(hashing)}`]),
  ].join(", ");
  const rows = [
    { title: "partitions", total: report.partitions.length, text: partitions },
    ...countsOf(report).map((kind) => ({
      title: kind.title,
      total: kind.total,
      text: [
        ...kind.roles.map(({ role, count }) => `${count} ${role}`),
        ...(kind.behind === 0 ? [] : [`${kind.behind} not in sync`]),
      ].join(", "),
    })),
  ];
  const digits = Math.max(...rows.map((row) => String(row.total).length));
  const line = (title: string, total: string, text: string): string =>
    cut(`  ${title.padEnd(12)}  ${total.padStart(digits)}  ${text}`, width);
  const { lastBackup, lastRehearsal, archive, archiveGap, resharding } = report;
  return [
    ...rows.map(({ title, total, text }) => line(title, String(total), text)),
    ...(resharding === null ? [] : [line("resharding", "", resharding)]),
    ...(lastBackup === null ? [] : [line("last backup", "", lastBackup)]),
    ...(archive === null ? [] : [line("archive", "", archive)]),
    ...(lastRehearsal === null ? [] : [line("rehearsed", "", lastRehearsal)]),
    ...(archiveGap === null ? [] : [line("archive gap", "", archiveGap)]),
  ];
}

function problemLines(
  report: StatusReport,
  width: number,
  room: number,
  paint: (kind: Paint, text: string) => string,
): string[] {
  if (report.problems.length === 0) return ["Nothing is wrong."];
  const blocks = foldByHost(report.problems).map((problem) => problemBlock(problem, width));
  const sizes = blocks.map((block) => block.length);
  let shown = 0;
  let used = 0;
  for (const [index, size] of sizes.entries()) {
    // Unless the last problem is shown, a line must be left for "and N more".
    const reserved = index === sizes.length - 1 ? 0 : 1;
    if (used + size + reserved > room) break;
    used += size;
    shown = index + 1;
  }
  // A single problem longer than the terminal is cut.
  if (shown === 0) return (blocks[0] ?? []).slice(0, room);
  const left = blocks.length - shown;
  const more = left === 0 ? [] : [`  and ${left} more: twine-status list, twine-status json`];
  const lines = blocks.slice(0, shown).flat();
  return [...lines, ...more.map((line) => paint("dim", cut(line, width)))];
}

function problemBlock(problem: StatusProblem, width: number): string[] {
  const text = `${problem.subject}  ${problem.text}`;
  const remedy = problem.remedy === null ? [] : wrap(`remedy: ${problem.remedy}`, width - 6);
  return [
    ...wrap(text, width - 2).map((line, index) => (index === 0 ? `  ${line}` : `    ${line}`)),
    ...remedy.map((line) => `      ${line}`),
  ].map((line) => cut(line, width));
}

function indent(line: string): string {
  return `  ${line}`;
}

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

/** Breaks at spaces, never inside a word. Continuation lines are two columns narrower, because they are indented. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(/ (?! )/)) {
    const limit = lines.length === 0 ? width : width - 2;
    if (line !== "" && line.length + 1 + word.length > limit) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Text from the network must not control the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, " ");
}
