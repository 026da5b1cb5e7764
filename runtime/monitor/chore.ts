// chore.ts: something done again and again, never twice at once.
import type { Clock } from "../ports/clock.ts";

export interface Chore {
  /** Do it now, or once more right after the run that is under way. */
  poke(): void;
  stop(): void;
}

/** Runs `task`, rests for `everyMs()` after each run, and starts over; `onError` gets what it throws. */
export function startChore(
  clock: Clock,
  everyMs: () => number,
  task: () => Promise<void>,
  onError: (error: unknown) => void,
): Chore {
  let isStopped = false;
  let isRunning = false;
  let isPoked = false;
  let takeBack: () => void = () => undefined;
  const run = async (): Promise<void> => {
    isRunning = true;
    isPoked = false;
    try {
      await task();
    } catch (error) {
      onError(error);
    }
    isRunning = false;
    plan();
  };
  const plan = (): void => {
    if (isStopped) return;
    takeBack = clock.after(isPoked ? 0 : everyMs(), () => {
      void run();
    });
  };
  void run();
  return {
    poke: () => {
      isPoked = true;
      if (isRunning || isStopped) return;
      takeBack();
      plan();
    },
    stop: () => {
      isStopped = true;
      takeBack();
    },
  };
}
