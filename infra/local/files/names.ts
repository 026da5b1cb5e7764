// names.ts: lists many nodes in a short text. Pure.
import { compareNames } from "../../../runtime/core/natural-order.ts";

const SHOWN = 20;

/** "a1, a2 and 1700 more", or "nothing": a cluster may have thousands of nodes, a screen has few lines. */
export function namesOf(names: readonly string[]): string {
  if (names.length === 0) return "nothing";
  const shown = names.toSorted(compareNames).slice(0, SHOWN).join(", ");
  return names.length > SHOWN ? `${shown} and ${names.length - SHOWN} more` : shown;
}
