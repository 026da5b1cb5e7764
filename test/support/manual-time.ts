// manual-time.ts: a clock for unit tests of whole monitors, moved by the test a millisecond at a time.
import type { Clock } from "../../runtime/ports/clock.ts";

/** Time that moves only when the test moves it; each monitor has a view of it that can be paused, as SIGSTOP does. */
export class ManualTime {
  nowMs = 0;
  readonly #timers = new Set<{ atMs: number; owner: string; task: () => void }>();
  readonly #paused = new Set<string>();

  clockOf(owner: string): Clock {
    const after: Clock["after"] = (delayMs, task) => {
      const timer = { atMs: this.nowMs + delayMs, owner, task };
      this.#timers.add(timer);
      return () => this.#timers.delete(timer);
    };
    return {
      nowMs: () => this.nowMs,
      wallTime: () => "2026-01-01T00:00:00.000Z",
      after,
      delay: (delayMs) => new Promise((resolve) => after(delayMs, resolve)),
    };
  }

  pause(owner: string): void {
    this.#paused.add(owner);
  }

  resume(owner: string): void {
    this.#paused.delete(owner);
  }

  /** One millisecond; what is due for those that are not paused runs, in the order of its time. */
  async step(): Promise<void> {
    this.nowMs += 1;
    const due = [...this.#timers]
      .filter(({ atMs, owner }) => atMs <= this.nowMs && !this.#paused.has(owner))
      .sort((a, b) => a.atMs - b.atMs);
    if (due.length === 0) return;
    for (const timer of due) {
      if (this.#timers.delete(timer)) timer.task();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
