// pauses.ts: whose writes this alpha has paused, and until when. Pure.
// Redis 7.0 does not say in INFO whether it is paused, so the one who paused remembers. It is the alpha's own memory: a
// successor knows of no pause, pauses again where the view asks for it, and elsewhere the old one ends by itself.
// https://redis.io/docs/latest/commands/client-pause/

export interface Pause {
  /** The server's answer came then: from here on no write is executed. */
  readonly sinceMs: number;
  /** Not later than that the server ends it by itself: counted from before it was asked. */
  readonly untilMs: number;
}

/** By node name; times by the alpha's monotonic clock. */
export type Pauses = ReadonlyMap<string, Pause>;

/** Whether writes are certainly paused at `nowMs`. */
export function isPausedAt(pause: Pause | undefined, nowMs: number): pause is Pause {
  return pause !== undefined && pause.sinceMs <= nowMs && nowMs < pause.untilMs;
}

/** Whether a pause is to be asked for (again): there is none, or half of its time is over. */
export function isPauseDue(pause: Pause | undefined, nowMs: number): boolean {
  return pause === undefined || nowMs > (pause.sinceMs + pause.untilMs) / 2;
}
