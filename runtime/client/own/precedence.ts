// precedence.ts: what must be over before something else may begin. Pure.
//
//   enter  enter  |afterAll: A|  enter  |afterAll: B|      A runs when the first two have left, B when all three have
//
// Different connections keep no order among themselves: what waits or watches on a connection of its own begins when all
// that its client had asked of that partition before is answered. What is asked later is not waited for, so a client
// that is never idle doesn't keep it waiting for ever.

/** What began between two who wait. */
export interface Group {
  /** How many are inside; an earlier group that somebody waits for counts as one of the next. */
  left: number;
  readonly whenEmpty: (() => void)[];
}

export class Precedence {
  #newest: Group = { left: 0, whenEmpty: [] };

  /** Something begins, in the returned group: leave(group), called once, says that it is over. */
  enter(): Group {
    this.#newest.left++;
    return this.#newest;
  }

  /** Runs `task` when all that has entered so far is over; at once when nothing is inside. */
  afterAll(task: () => void): void {
    const group = this.#newest;
    if (group.left === 0) {
      task();
      return;
    }
    const next: Group = { left: 1, whenEmpty: [] };
    group.whenEmpty.push(task, () => {
      leave(next);
    });
    this.#newest = next;
  }
}

export function leave(group: Group): void {
  group.left--;
  if (group.left > 0) return;
  for (const task of group.whenEmpty.splice(0)) task();
}
