// reshard-lines.ts: a resharding under way as a line of the status. Pure.
import { describeHashing } from "../core/hashing.ts";
import { sumOf, type ReshardProgress } from "../core/reshard-progress.ts";
import type { ReshardView, View } from "../core/view.ts";
import type { StatusProblem } from "./problem.ts";
import { forPeople } from "./times.ts";

/** A note while a resharding is under way. */
export function reshardNotes({ reshard }: Pick<View, "reshard">): StatusProblem[] {
  if (reshard === undefined || reshard === null) return [];
  const { by, since, hashing } = reshard;
  if (reshard.phase === "keeping") return [keptNote(reshard)];
  const text = `are being moved to ${describeHashing(hashing)} by ${by} since ${forPeople(since)}: ${phaseText(reshard)}`;
  const [severity, subject] = ["NOTE", "keys"] as const;
  const remedy = "interrupt twine-reshard to keep the present partitions";
  return [{ code: "RESHARDING", severity, subject, host: null, text, remedy }];
}

function keptNote({ by, since, hashing }: ReshardView): StatusProblem {
  const text = `can go back to ${describeHashing(hashing)}: ${by} keeps the way back since ${forPeople(since)}`;
  const remedy =
    "to go back: twine-reshard --back; else leave the old data nodes as they are until it has ended";
  return { code: "RESHARDING", severity: "NOTE", subject: "keys", host: null, text, remedy };
}

function phaseText({ phase, failed }: ReshardView): string {
  const before = failed === undefined ? "" : ` (the last switch was undone: ${failed})`;
  switch (phase) {
    case "copying":
      return `they are being copied${before}`;
    case "undoing":
      return `the switch is being undone; the old masters will serve again${before}`;
    default:
      return `the partitions are being switched (${phase})`;
  }
}

/** How far it is, for people; null while nothing is known. */
export function reshardText(progress: ReshardProgress | undefined): string | null {
  if (progress === undefined) return null;
  const { step, longestHoldMs } = progress;
  const { keys, keysTotal, lagBytes } = sumOf(progress);
  const held = longestHoldMs === null ? "" : `, longest hold ${longestHoldMs} ms`;
  return `${step}, ${partText(keys, keysTotal)}, ${lagBytes} bytes behind${held}`;
}

/** By partition; empty while nothing is known. */
export function reshardSourceTexts(progress: ReshardProgress | undefined): string[] {
  const sources = progress?.sources ?? [];
  return sources.map(
    ({ partition, keys, keysTotal, lagBytes }) =>
      `partition ${partition}: ${partText(keys, keysTotal)}, ${lagBytes} bytes behind`,
  );
}

/** Keys may be written meanwhile, so more may be copied than there were. */
function partText(keys: number, keysTotal: number): string {
  const percent = keysTotal === 0 ? 100 : Math.min(100, Math.floor((100 * keys) / keysTotal));
  return `${percent} % of ${keysTotal} keys`;
}
