// idle-watch.ts: closes clients that have sent nothing for idle-timeout and have no outstanding reply.
// One timer for all: checking each client a few times within the timeout costs less than a timer per client.
import type { Clock } from "../../ports/clock.ts";
import type { RouterRules } from "../rules/reload.ts";

export interface IdleClient {
  isIdleSince(ms: number): boolean;
  destroy(): void;
}

const LOOKS_PER_SPAN = 4;
const LOOK_MS_MAX = 5000;

/** `again` applies a changed idle-timeout; `end` stops the watch. */
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
