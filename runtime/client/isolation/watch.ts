// watch.ts: whether what was watched is still watched when its transaction is written. Pure.
//
//   WATCH a, WATCH b ... EXEC         one period: it may be written once, on the connection that it watches on
//
// A transaction that a WATCH guards must never be executed without it: a broken connection forgets what it watched, and a
// node that refuses a transaction forgets it too. Then the answer is nil, as if a key had changed, and the program,
// which must be able to read again and try anew, does.

export class WatchPeriod {
  #isBegun = false;
  #isOver = false;

  /** Something is watched. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  begin(): void {
    this.#isBegun = true;
  }

  /** The connection is lost, and with it all that was watched on it. */
  lose(): void {
    if (this.#isBegun) this.#isOver = true;
  }

  /** Whether the guarded transaction may be written: the first time only, and not when its guard is lost. */
  spend(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    return true;
  }
}
