// ticker.ts: the monitor's pulse: at least once per period, sooner when woken, never twice at once.
import type { Clock } from "../ports/clock.ts";

/** Several pieces of news that come together are worth one tick. */
const LEAST_GAP_MS = 10;

export interface TickerOptions {
  readonly clock: Clock;
  readonly everyMs: () => number;
  readonly tick: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export interface Ticker {
  /** Tick as soon as the least gap allows. */
  wake(): void;
  /** Whether a tick has ended within `withinMs`. */
  isTicking(withinMs: number): boolean;
  /** Resolves when the tick under way has ended; none comes after. */
  stop(): Promise<void>;
}

export function createTicker(options: TickerOptions): Ticker {
  const { clock } = options;
  // An object, because all of these change while something else is awaited.
  const state = { isStopped: false, isWoken: false, isResting: false };
  let endRest: (() => void) | undefined;
  let endedAtMs = clock.nowMs();

  const rest = (restMs: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        takeBack();
        endRest = undefined;
        resolve();
      };
      const takeBack = clock.after(restMs, end);
      endRest = end;
    });
  const run = async (): Promise<void> => {
    for (;;) {
      const startedAtMs = clock.nowMs();
      state.isWoken = false;
      try {
        await options.tick();
      } catch (error) {
        options.onError(error);
      }
      endedAtMs = clock.nowMs();
      const spentMs = endedAtMs - startedAtMs;
      if (hasEnded()) return;
      await pause(spentMs);
      if (hasEnded()) return;
    }
  };
  const pause = async (spentMs: number): Promise<void> => {
    const gapMs = Math.max(1, LEAST_GAP_MS - spentMs);
    await rest(gapMs);
    if (state.isWoken || state.isStopped) return;
    state.isResting = true;
    await rest(Math.max(1, options.everyMs() - spentMs - gapMs));
    state.isResting = false;
  };
  const hasEnded = (): boolean => state.isStopped;
  const running = run();
  return {
    wake: () => {
      state.isWoken = true;
      if (state.isResting) endRest?.();
    },
    isTicking: (withinMs) => clock.nowMs() - endedAtMs <= withinMs,
    stop: async () => {
      state.isStopped = true;
      endRest?.();
      await running;
    },
  };
}
