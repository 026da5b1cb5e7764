// difference.ts: which lines of two twine.confs differ, in their canonical print. Pure.
// The canonical print ignores comments, the order of lines and spelled-out defaults (digest.ts). The remaining
// differences matter.
import type { ClusterConfig } from "../cluster.ts";
import { canonicalConf } from "./digest.ts";

export interface ConfDifference {
  /** Lines only in the own file, in canonical print. */
  readonly own: readonly string[];
  /** Lines only in the adopted file. */
  readonly adopted: readonly string[];
}

/** Limits of a message: lines of each side, characters of each line. */
const SHOWN_COUNT_MAX = 5;
const SHOWN_CHARS_MAX = 120;

export function confDifference(own: ClusterConfig, adopted: ClusterConfig): ConfDifference {
  const [ownLines, adoptedLines] = [linesOf(own), linesOf(adopted)];
  return { own: without(ownLines, adoptedLines), adopted: without(adoptedLines, ownLines) };
}

/** One line for display; empty if nothing differs. */
export function describeDifference({ own, adopted }: ConfDifference): string {
  return [
    own.length === 0 ? "" : `only this twine.conf says ${shown(own)}`,
    adopted.length === 0 ? "" : `only the adopted one says ${shown(adopted)}`,
  ]
    .filter((part) => part !== "")
    .join("; ");
}

function linesOf(config: ClusterConfig): string[] {
  return canonicalConf(config)
    .split("\n")
    .map((line) => line.trim().replaceAll(/\s+/g, " "))
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** The lines of `lines` that are not in `others`. A line that occurs twice counts twice. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = left.get(line) ?? 0;
    if (count > 0) left.set(line, count - 1);
    return count === 0;
  });
}

function shown(lines: readonly string[]): string {
  const first = lines.slice(0, SHOWN_COUNT_MAX).map((line) => {
    const text = line.length <= SHOWN_CHARS_MAX ? line : `${line.slice(0, SHOWN_CHARS_MAX)}...`;
    return `"${text}"`;
  });
  const more = lines.length - first.length;
  return more > 0 ? `${first.join(", ")} and ${more} more lines` : first.join(", ");
}
