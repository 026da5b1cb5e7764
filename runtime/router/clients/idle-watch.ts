// idle-watch.ts: closes the clients that have said nothing for idle-timeout and wait for nothing.
// One timer for all of them: a look at each client a few times in that span costs less than a timer per client.
import type { Clock } from "../../ports/clock.ts";
import type { RouterRules } from "../rules/limits.ts";

export interface IdleClient {
  isIdleSince(ms: number): boolean;
  destroy(): void;
}

const LOOKS_PER_SPAN = 4;
const LOOK_MS_MAX = 5000;

/** `again` reads anew how long clients may be idle; `end` ends it. */
export function watchIdle(
  clients: Iterable<IdleClient>,
  rules: RouterRules,
  clock: Clock,
): { again(): void; end(): void } {
  let endTimer: (() => void) | undefined;
  const again = (): void => {
    endTimer?.();
    endTimer = undefined;
    const { idleMs } = rules.limits;
    if (idleMs === 0) return;
    const sinceMs = clock.nowMs() - idleMs;
    for (const client of [...clients]) if (client.isIdleSince(sinceMs)) client.destroy();
    endTimer = clock.after(Math.min(idleMs / LOOKS_PER_SPAN, LOOK_MS_MAX), again);
  };
  again();
  return { again, end: () => endTimer?.() };
}
