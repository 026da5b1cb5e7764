// stall-watch.ts: since when this process's own loop has run without standing still.
//
//   a tick is due --> it runs late by more than stallMs: the loop stood still, and runs anew since now
//
// Whoever waits for replies asks before the tick itself may have run: after a stall, timeouts come before it, and before
// the replies that lay unread meanwhile. So a tick that is overdue counts as much as one that ran late.
import type { Clock } from "../../ports/clock.ts";

export class StallWatch {
  readonly #clock: Clock;
  readonly #stallMs: number;
  #awakeSinceMs: number;
  #dueAtMs = 0;
  #isClosed = false;
  #endTick: () => void = () => undefined;

  /** Ticks until close(), every `stallMs`. */
  constructor(clock: Clock, stallMs: number) {
    this.#clock = clock;
    this.#stallMs = stallMs;
    this.#awakeSinceMs = clock.nowMs();
    this.#plan();
  }

  /** By the clock; now, when the loop stood still until now. */
  awakeSinceMs(): number {
    if (this.#isOverdue()) {
      this.#endTick();
      this.#tick();
    }
    return this.#awakeSinceMs;
  }

  close(): void {
    this.#isClosed = true;
    this.#endTick();
  }

  #isOverdue(): boolean {
    return this.#clock.nowMs() - this.#dueAtMs > this.#stallMs;
  }

  #tick(): void {
    if (this.#isOverdue()) this.#awakeSinceMs = this.#clock.nowMs();
    this.#plan();
  }

  #plan(): void {
    this.#dueAtMs = this.#clock.nowMs() + this.#stallMs;
    if (this.#isClosed) return;
    this.#endTick = this.#clock.after(this.#stallMs, () => {
      this.#tick();
    });
  }
}
