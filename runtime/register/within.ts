// within.ts: bounds the wait for one status node's answer by the clock port.
import type { Clock } from "../ports/clock.ts";

/** `answer`, or a rejection after `waitMs`. What comes later is dropped. */
export function within<T>(clock: Clock, waitMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = clock.after(waitMs, () => {
      reject(new Error(`no answer within ${Math.round(waitMs)} ms`));
    });
    answer.then(resolve, reject).finally(forget);
  });
}
