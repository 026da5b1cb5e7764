// rescues.ts: what became of a rogue master's own writes, taken from the alpha's act into the view. Pure.
import type { NodeView } from "../../core/view.ts";

/** What a rescue came to; `place` is null when no file could be written, and `why` says what stood against it. */
export interface RescueOutcome {
  readonly runId: string;
  readonly place: string | null;
  readonly why: string;
}

/** By node name: the alpha's memory of the rescues that it has tried. */
export type RescueOutcomes = ReadonlyMap<string, RescueOutcome>;

/**
 * 1. A rescue that the view does not show yet: show it.
 * 2. A node that was kept and has restarted: the operator has done what was to be done; it is a node like any other.
 * 3. A person has seen to what was saved: it is marked so.
 * 4. Otherwise what the view shows stays: a saved file lies there for ever.
 */
export function withRescue(
  node: NodeView,
  outcomes: RescueOutcomes,
  seen: ReadonlySet<string>,
  wallTime: string,
): NodeView {
  const { rescue: known, ...rest } = node;
  const outcome = outcomes.get(node.name);
  if (outcome !== undefined && outcome.runId === node.runId && known?.runId !== outcome.runId) {
    const { runId, place, why } = outcome;
    const kind = place === null ? "kept" : "saved";
    return { ...rest, rescue: { runId, kind, place, why, at: wallTime } };
  }
  if (known?.kind === "saved" && known.isSeen !== true && seen.has(node.name)) {
    return { ...rest, rescue: { ...known, isSeen: true } };
  }
  const hasRestarted = node.runId !== null && known?.runId !== node.runId;
  return known?.kind === "kept" && hasRestarted ? rest : node;
}
