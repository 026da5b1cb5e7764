// knowledge.ts: what one reader of the status nodes has seen with its own eyes. Pure.
// The view says what the alpha believed; beside it a reader knows which status nodes answered, how many hold that view,
// and whether anybody still renews the alpha's lease.
import { compareNames } from "../core/natural-order.ts";
import type { NodeView, View } from "../core/view.ts";
import { hasHeartbeatAdvanced } from "../register/read.ts";
import type { RegisterReading } from "../register/register.ts";
import { parseView } from "./parse-view.ts";

/** What the reader knows beside the view itself. */
export interface StatusKnowledge {
  /** The newest chosen view; null before the first. */
  readonly view: View | null;
  /** How many status nodes hold exactly this view. */
  readonly confirmations: number;
  /** Names of the status nodes that answered. */
  readonly answered: readonly string[];
  /** Status node -> why it does not count: it did not answer, or is another cluster's. */
  readonly silent: ReadonlyMap<string, string>;
  /** Status nodes that answered and have no vote: they lost what they held, in every reading. */
  readonly emptied: readonly string[];
  /** Whether the alpha was seen to renew its lease. */
  readonly alphaAlive: boolean;
}

/** `since` is null while only this reader has seen the role, or nobody has yet. */
export interface ReportNode extends Omit<NodeView, "since"> {
  readonly since: string | null;
}

/**
 * Sums up readings of the register, the oldest first; at least one. The alpha is alive when its heartbeat, or the epoch,
 * advanced between them. Status nodes that were silent in the first reading stay silent, for later ones may skip them.
 * Throws VIEW_UNREADABLE when the published view is not one.
 */
export function knowledgeOf(
  readings: readonly [RegisterReading, ...RegisterReading[]],
): StatusKnowledge {
  const [first] = readings;
  const last = readings.at(-1) ?? first;
  // A view that changes while it is fetched may leave one reading without a value; the one before still had it.
  const valued = readings.findLast((reading) => (reading.value?.body ?? null) !== null) ?? last;
  const body = valued.value?.body ?? null;
  // Whoever has come back in the meantime is silent no longer.
  const skipped = [...first.silent].filter(([name]) => !last.answered.includes(name));
  const silent = new Map([...skipped, ...last.silent]);
  return {
    view: body === null ? null : parseView(body),
    confirmations: valued.confirmations,
    answered: [...last.answered].sort(compareNames),
    silent: new Map([...silent].sort(([a], [b]) => compareNames(a, b))),
    // A first start, read half way, looks like a loss for a moment.
    emptied: last.emptied.filter((name) =>
      readings.every((reading) => reading.emptied.includes(name)),
    ),
    alphaAlive: hasHeartbeatAdvanced(first, last),
  };
}
