// stall-watch.ts: measures since when this process's event loop has run without being blocked.
//
//   a tick is due --> it runs more than stallMs late: the loop was blocked, and has run again only since now
//
// A caller may check before the late tick has run: after a block, timeouts run before it, and before the unread replies.
// So an overdue tick counts like a late one.
import type { Clock } from "../ports/clock.ts";

export class StallWatch {
  readonly #clock: Clock;
  readonly #stallMs: number;
  #awakeSinceMs: number;
  #dueAtMs = 0;
  #isClosed = false;
  #endTick: () => void = () => undefined;

  /** Ticks every `stallMs` until close(). */
  constructor(clock: Clock, stallMs: number) {
    this.#clock = clock;
    this.#stallMs = stallMs;
    this.#awakeSinceMs = clock.nowMs();
    this.#plan();
  }

  /** By the clock port. Returns now if the loop was blocked until now. */
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
