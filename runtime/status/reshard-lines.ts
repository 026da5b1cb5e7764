// reshard-lines.ts: a resharding under way as a line of the status. Pure.
import { describeHashing } from "../core/hashing.ts";
import type { ReshardView, View } from "../core/view.ts";
import type { StatusProblem } from "./problem.ts";
import { forPeople } from "./times.ts";

/** A note while a resharding is under way. */
export function reshardNotes({ reshard }: Pick<View, "reshard">): StatusProblem[] {
  if (reshard === undefined || reshard === null) return [];
  const { by, since, hashing } = reshard;
  const text = `are being moved to ${describeHashing(hashing)} by ${by} since ${forPeople(since)}: ${phaseText(reshard)}`;
  const [severity, subject] = ["NOTE", "keys"] as const;
  const remedy = "interrupt twine-reshard to keep the present partitions";
  return [{ code: "RESHARDING", severity, subject, host: null, text, remedy }];
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
