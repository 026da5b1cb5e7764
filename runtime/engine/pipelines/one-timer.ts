// one-timer.ts: a timer that can run only once at a time.
import type { Clock } from "../../ports/clock.ts";

export class OneTimer {
  readonly #clock: Clock;
  #end: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isRunning(): boolean {
    return this.#end !== undefined;
  }

  /** Starts it, replacing a running one. */
  start(delayMs: number, task: () => void): void {
    this.#end?.();
    this.#end = this.#clock.after(delayMs, () => {
      this.#end = undefined;
      task();
    });
  }

  end(): void {
    this.#end?.();
    this.#end = undefined;
  }
}
