// rescues.ts: records in the view the result of rescuing a rogue master's own writes. Pure.
//
//   saved, unseen --rogue again--> saved, the first one among the earlier --an operator handled it--> no longer shown
//
// A process may become a rogue master several times, and each file holds writes that no other file has.
import type { HistoryMark, NodeView, Rescue } from "../../../core/view.ts";

/** The result of a rescue; `place` is null when no file could be written, and `why` gives the reason. */
export interface RescueOutcome {
  readonly runId: string;
  readonly place: string | null;
  readonly why: string;
  /** The end of the file's data; absent without a file. */
  readonly upTo?: HistoryMark;
}

/** By node name: the last rescue that the alpha tried. */
export type RescueOutcomes = ReadonlyMap<string, RescueOutcome>;

/** Limits the size of the view; older files are beside the named ones. */
const EARLIER_MAX = 16;

/**
 * 1. A rescue that the view does not show yet: show it. The one shown before becomes an earlier one, unless it was handled.
 * 2. A kept node has restarted: the operator has handled it. It is a normal node again, and an earlier rescue is shown
 *    again.
 * 3. An operator has handled the saved data: mark it as seen.
 * 4. Otherwise nothing changes: a saved file stays forever.
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

/** Each file has a place of its own. */
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
