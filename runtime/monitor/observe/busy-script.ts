// busy-script.ts: ends a script that blocks a data node, before the node would be failed over. A script that has written
// nothing can be ended without harm; one that has written can't be ended at all (UNKILLABLE).
//
//   script begins -> silence -> BUSY after busy-reply-threshold (default: 3/4 of down-after) -> SCRIPT KILL -> it serves
//
// Otherwise a client's endless read-only script would take down one master after the other, as it is sent to each new one.
import type { Clock } from "../../ports/clock.ts";
import type { RedisLink } from "../../ports/redis-link.ts";

/** A part of down-after; just below the plan's busy-reply-threshold (infra/plan/redis-settings.ts). */
const PATIENCE = 0.7;

export interface BusyScriptOptions {
  readonly clock: Clock;
  readonly downAfterMs: () => number;
  /** Only the alpha ends scripts, because it is the one that would fail the node over. */
  readonly mayKill: () => boolean;
  /** The node has ended its script and works: an outstanding answer is awaited anew. */
  readonly onKilled: () => void;
}

/** none: no script runs; running: one runs; unkillable: one runs that has written and can't be ended. */
export type ScriptState = "none" | "running" | "unkillable";

export class BusyScript {
  readonly #options: BusyScriptOptions;
  #state: ScriptState = "none";

  constructor(options: BusyScriptOptions) {
    this.#options = options;
  }

  get state(): ScriptState {
    return this.#state;
  }

  /** The node's last answer was not BUSY, or there was none. */
  ended(): void {
    this.#state = "none";
  }

  /** The node has answered BUSY, for the first time or again. Rejects when the connection breaks. */
  async busy(error: Error, link: RedisLink, servedAtMs: number): Promise<void> {
    const { clock, downAfterMs, mayKill, onKilled } = this.#options;
    if (this.#state === "none") this.#state = "running";
    const isPatient = clock.nowMs() - servedAtMs < PATIENCE * downAfterMs();
    if (isPatient || this.#state === "unkillable" || !mayKill()) return;
    const container = error.message.includes("FUNCTION KILL") ? "FUNCTION" : "SCRIPT";
    try {
      await link.call(container, "KILL");
      onKilled();
    } catch (cause) {
      // NOTBUSY: the script has ended by itself. After any other error stop trying: silence then decides.
      if (!isReplyError(cause)) throw cause;
      if (!cause.message.startsWith("NOTBUSY")) this.#state = "unkillable";
    }
  }
}

export function isBusyError(error: unknown): error is Error {
  return error instanceof Error && error.message.startsWith("BUSY ");
}

/** An error reply of the server, over a working connection. */
function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}
