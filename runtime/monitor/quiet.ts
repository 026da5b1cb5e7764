// quiet.ts: a short time in which a monitor postpones other work. During a cut all writes of the cluster are paused until
// the answers arrive, and every INFO or decision in that time would lengthen the pause.
import type { Clock } from "../ports/clock.ts";

export interface Quiet {
  begin(): void;
  end(): void;
  /** Resolves when the quiet time is over; undefined when there is none. */
  over(): Promise<void> | undefined;
}

/** It ends by itself after `longestMs`, so that lease renewals and questions to nodes are not late. */
export function createQuiet(clock: Clock, longestMs: () => number): Quiet {
  let waiting: (() => void)[] | undefined;
  let cancel: () => void = () => undefined;
  const end = (): void => {
    cancel();
    const all = waiting ?? [];
    waiting = undefined;
    for (const go of all) go();
  };
  return {
    begin: () => {
      end();
      waiting = [];
      cancel = clock.after(longestMs(), end);
    },
    end,
    over: () => {
      const all = waiting;
      return all === undefined ? undefined : new Promise((resolve) => all.push(resolve));
    },
  };
}
