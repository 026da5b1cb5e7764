// convergence.ts: whether following comes to an end: each round takes what was written in the one before. Pure.

/** What is written in this time is copied in less, so the pause of the masters is short. */
const ROUND_MS_MAX = 250;
/** So long no round was shorter than all before: clients write faster than it copies. */
const NO_PROGRESS_MS_MAX = 300_000;

export class Convergence {
  #shortestMs = Infinity;
  #shortestAtMs: number;

  constructor(nowMs: number) {
    this.#shortestAtMs = nowMs;
  }

  /** A round that took so long has ended. */
  after(roundMs: number, nowMs: number): "close" | "behind" | "hopeless" {
    if (roundMs < ROUND_MS_MAX) return "close";
    if (roundMs < this.#shortestMs) {
      this.#shortestMs = roundMs;
      this.#shortestAtMs = nowMs;
    }
    return nowMs - this.#shortestAtMs > NO_PROGRESS_MS_MAX ? "hopeless" : "behind";
  }
}
