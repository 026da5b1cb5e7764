// within.ts: a timeout for one status node's reply, by the clock port.
import { FailureError } from "../core/failure.ts";
import type { Clock } from "../ports/clock.ts";

/** Resolves as `answer` does, or rejects with a FailureError after `waitMs`. A later result is dropped. */
export function within<T>(clock: Clock, waitMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = clock.after(waitMs, () => {
      reject(new FailureError("no-answer", `no answer within ${Math.round(waitMs)} ms`));
    });
    answer.then(resolve, reject).finally(forget);
  });
}
