// rescues.ts: what became of a rogue master's own writes, taken from the alpha's act into the view. Pure.
//
//   saved, unseen --goes rogue again--> saved, the first one among the earlier --a person says seen--> told of no more
//
// A node may go rogue time after time in one run, and each time's file holds writes that no other has.
import type { HistoryMark, NodeView, Rescue } from "../../core/view.ts";

/** What a rescue came to; `place` is null when no file could be written, and `why` says what stood against it. */
export interface RescueOutcome {
  readonly runId: string;
  readonly place: string | null;
  readonly why: string;
  /** How far the file reaches; absent without one. */
  readonly upTo?: HistoryMark;
}

/** By node name: the last rescue of each node that the alpha has tried. */
export type RescueOutcomes = ReadonlyMap<string, RescueOutcome>;

/** The view must not grow without end; older files lie beside the ones that it names. */
const EARLIER_MAX = 16;

/**
 * 1. A rescue that the view does not show yet: show it. What it showed is kept beside it, unless it has been seen to.
 * 2. A node that was kept and has restarted: the operator has done what was to be done; it is a node like any other, and
 *    what was saved of it before is told again.
 * 3. A person has seen to what was saved: it is marked so.
 * 4. Otherwise what the view shows stays: a saved file lies there for ever.
 */
export function withRescue(
  node: NodeView,
  outcomes: RescueOutcomes,
  seen: ReadonlySet<string>,
  wallTime: string,
): NodeView {
  const { rescue: known, earlierRescues = [], ...rest } = node;
  const outcome = outcomes.get(node.name);
  if (outcome !== undefined && outcome.runId === node.runId && !isShown(outcome, known)) {
    const { place } = outcome;
    const rescue: Rescue = { ...outcome, kind: place === null ? "kept" : "saved", at: wallTime };
    return withEarlier({ ...rest, rescue }, unseenOf(known, earlierRescues));
  }
  const hasRestarted = node.runId !== null && known?.runId !== node.runId;
  if (known?.kind === "kept" && hasRestarted) {
    const last = earlierRescues.at(-1);
    const again = last === undefined ? rest : { ...rest, rescue: last };
    return withEarlier(again, earlierRescues.slice(0, -1));
  }
  if (known?.kind === "saved" && known.isSeen !== true && seen.has(node.name)) {
    return { ...node, rescue: { ...known, isSeen: true } };
  }
  return node;
}

/** No two files have the same place. */
function isShown({ runId, place }: RescueOutcome, known: Rescue | undefined): boolean {
  return known?.runId === runId && known.place === place;
}

function unseenOf(known: Rescue | undefined, earlier: readonly Rescue[]): readonly Rescue[] {
  if (known === undefined || known.isSeen === true) return [];
  return (known.kind === "saved" ? [...earlier, known] : earlier).slice(-EARLIER_MAX);
}

function withEarlier(node: NodeView, earlierRescues: readonly Rescue[]): NodeView {
  return earlierRescues.length === 0 ? node : { ...node, earlierRescues };
}
