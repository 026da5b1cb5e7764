// pauses.ts: the nodes whose writes this alpha has paused, and until when. Pure.
// Redis 7.0 does not show a pause in INFO, so the alpha remembers its own. A new alpha knows of none: it pauses again where
// the view requires it; elsewhere the old pause ends by itself.
// https://redis.io/docs/latest/commands/client-pause/

export interface Pause {
  /** When the server confirmed the pause: from here on no write is executed. */
  readonly sinceMs: number;
  /** The server ends the pause not later than this: counted from before the command was sent. */
  readonly untilMs: number;
}

/** By node name; times by the alpha's monotonic clock. */
export type Pauses = ReadonlyMap<string, Pause>;

/** Whether writes are certainly paused at `nowMs`. */
export function isPausedAt(pause: Pause | undefined, nowMs: number): pause is Pause {
  return pause !== undefined && pause.sinceMs <= nowMs && nowMs < pause.untilMs;
}

/** Whether to pause (again): there is no pause, or more than half of it is over. */
export function isPauseDue(pause: Pause | undefined, nowMs: number): boolean {
  return pause === undefined || nowMs > (pause.sinceMs + pause.untilMs) / 2;
}
