// nap.ts: a rest that somebody else may end early.
import type { Clock } from "../ports/clock.ts";

export interface Nap {
  /** Rests for `restMs`, or until wake(); hardly at all when wake() came while nobody rested. */
  take(restMs: number): Promise<void>;
  wake(): void;
}

/** For one sleeper: a second take() must wait for the first. */
export function createNap(clock: Clock): Nap {
  let end: (() => void) | undefined;
  let isWoken = false;
  return {
    take: (restMs) =>
      new Promise((resolve) => {
        const takeBack = clock.after(isWoken ? 1 : restMs, () => end?.());
        end = () => {
          takeBack();
          end = undefined;
          resolve();
        };
        isWoken = false;
      }),
    wake: () => {
      if (end === undefined) isWoken = true;
      else end();
    },
  };
}
