// periodic-task.ts: runs a task repeatedly, never twice at once. All periodic work uses this scheduler.
//
//   run --done or failed--> rest for restMs --> run ...
//                             | trigger: run at once, but at least leastGapMs after the start of the last run
import type { Clock } from "./clock.ts";

export interface PeriodicTaskOptions {
  readonly clock: Clock;
  /** The pause after a run that took `spentMs`. */
  readonly restMs: (spentMs: number) => number;
  readonly run: () => Promise<void> | void;
  /** Gets the error of a run. The task continues. */
  readonly onError: (error: unknown) => void;
  /** The least time between the starts of two runs, so that several triggers cause one run. @default 0 */
  readonly leastGapMs?: number | (() => number);
}

export interface PeriodicTask {
  /** Runs as soon as the least gap allows; if a run is in progress, once more after it. */
  trigger(): void;
  /** Whether a run has ended within the last `withinMs`. */
  isAlive(withinMs: number): boolean;
  /** No run begins after this call. Resolves when the present run has ended. */
  stop(): Promise<void>;
}

/** The first run begins at once. */
export function startPeriodicTask(options: PeriodicTaskOptions): PeriodicTask {
  return new RepeatedTask(options);
}

class RepeatedTask implements PeriodicTask {
  readonly #options: PeriodicTaskOptions;
  #lastRun: Promise<void> = Promise.resolve();
  #isRunning = false;
  #isStopped = false;
  #isTriggered = false;
  #startedAtMs = 0;
  #endedAtMs: number;
  #cancelRest: () => void = () => undefined;

  constructor(options: PeriodicTaskOptions) {
    this.#options = options;
    this.#endedAtMs = options.clock.nowMs();
    this.#begin();
  }

  trigger(): void {
    if (this.#isTriggered) return;
    this.#isTriggered = true;
    if (!this.#isRunning) this.#rest(0);
  }

  isAlive(withinMs: number): boolean {
    return this.#options.clock.nowMs() - this.#endedAtMs <= withinMs;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRest();
    await this.#lastRun;
  }

  #begin(): void {
    if (!this.#isStopped) this.#lastRun = this.#run();
  }

  async #run(): Promise<void> {
    const { clock, run, onError, restMs } = this.#options;
    this.#isRunning = true;
    this.#isTriggered = false;
    this.#startedAtMs = clock.nowMs();
    try {
      await run();
    } catch (error) {
      onError(error);
    }
    this.#endedAtMs = clock.nowMs();
    this.#isRunning = false;
    this.#rest(restMs(this.#endedAtMs - this.#startedAtMs));
  }

  #rest(restMs: number): void {
    this.#cancelRest();
    if (this.#isStopped) return;
    const { clock, leastGapMs = 0 } = this.#options;
    const gapMs = typeof leastGapMs === "number" ? leastGapMs : leastGapMs();
    const gapLeftMs = this.#startedAtMs + gapMs - clock.nowMs();
    const leftMs = Math.max(this.#isTriggered ? 0 : restMs, gapLeftMs);
    // At least one turn of the timers: a task that triggers itself must not starve other work.
    this.#cancelRest = clock.after(Math.max(1, leftMs), () => {
      this.#begin();
    });
  }
}
