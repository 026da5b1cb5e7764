// knowledge.ts: what one reader of the status nodes has observed itself. Pure.
// The view shows what the alpha decided. A reader also knows which status nodes answered, how many hold that view, and
// whether a monitor still renews the alpha's lease.
import type { NodeFailure } from "../core/failure.ts";
import { compareNames } from "../core/natural-order.ts";
import type { ReshardProgress } from "../core/reshard-progress.ts";
import type { NodeView, View } from "../core/view.ts";
import { hasHeartbeatAdvanced } from "../register/read.ts";
import type { RegisterReading } from "../register/register.ts";
import { parseView } from "../core/parse-view.ts";

/** The view, and the reader's own observations. */
export interface StatusKnowledge {
  /** The newest chosen view; null before the first. */
  readonly view: View | null;
  /** How many status nodes hold exactly this view. */
  readonly confirmations: number;
  /** Names of the status nodes that answered. */
  readonly answered: readonly string[];
  /** Status node -> why it does not count: it did not answer, or is another cluster's. */
  readonly silent: ReadonlyMap<string, NodeFailure>;
  /** Status nodes that answered but have no vote: they had lost their data in every reading. */
  readonly emptied: readonly string[];
  /** Whether the alpha was seen to renew its lease. */
  readonly alphaAlive: boolean;
  /** Of the resharding that the view shows; absent: none, or its tool has reported nothing yet. */
  readonly reshardProgress?: ReshardProgress;
}

/** `since` is null when the role is this reader's own observation, or no monitor has seen the node yet. */
export interface ReportNode extends Omit<NodeView, "since"> {
  readonly since: string | null;
}

/**
 * Combines readings of the register, oldest first; at least one. The alpha is alive when its heartbeat or the epoch
 * advanced between them. Status nodes that were silent in the first reading stay silent unless they answered the last one,
 * because later readings may skip them. Throws VIEW_UNREADABLE when the published view is not valid.
 */
export function knowledgeOf(
  readings: readonly [RegisterReading, ...RegisterReading[]],
): StatusKnowledge {
  const [first] = readings;
  const last = readings.at(-1) ?? first;
  // If the view changes while it is read, one reading may have no value; the one before still has it.
  const valued = readings.findLast((reading) => (reading.value?.body ?? null) !== null) ?? last;
  const body = valued.value?.body ?? null;
  // A node that answered the last reading is not silent any more.
  const skipped = [...first.silent].filter(([name]) => !last.answered.includes(name));
  const silent = new Map([...skipped, ...last.silent]);
  return {
    view: body === null ? null : parseView(body),
    confirmations: valued.confirmations,
    answered: [...last.answered].sort(compareNames),
    silent: new Map([...silent].sort(([a], [b]) => compareNames(a, b))),
    // A first start that is read half way looks like a loss for a moment.
    emptied: last.emptied.filter((name) =>
      readings.every((reading) => reading.emptied.includes(name)),
    ),
    alphaAlive: hasHeartbeatAdvanced(first, last),
  };
}
