// scheduler.ts: simulated time: events in the order of their moments, one at a time, on one thread.
//
//   take the earliest event --> run it --> let every promise go on that can --> next
//
// Invariant: time never moves while a promise could still go on, so the order of everything follows from the seed.
// process.nextTick runs after all microtasks have run: no real timer and no turn of the event loop is spent.

/** An event that has not happened yet. */
export interface Planned {
  cancel(): void;
}

class Entry implements Planned {
  readonly atMs: number;
  readonly order: number;
  task: (() => void) | null;

  constructor(atMs: number, order: number, task: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.task = task;
  }

  cancel(): void {
    this.task = null;
  }
}

export class Scheduler {
  #nowMs = 0;
  #order = 0;
  #eventCount = 0;
  /** A binary heap, earliest first; equal moments in the order of their planning. */
  readonly #heap: Entry[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  after(delayMs: number, task: () => void): Planned {
    const entry = new Entry(this.#nowMs + Math.max(0, delayMs), this.#order, task);
    this.#order += 1;
    this.#push(entry);
    return entry;
  }

  /** Runs until `isDone()` says so after an event, or until `endMs`; answers whether it is done. */
  async run(isDone: () => boolean, endMs: number): Promise<boolean> {
    for (;;) {
      if (isDone()) return true;
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) {
        this.#nowMs = Math.max(this.#nowMs, endMs);
        return isDone();
      }
      this.#pop();
      if (next.task === null) continue;
      this.#nowMs = next.atMs;
      this.#eventCount += 1;
      next.task();
      await settled();
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !isEarlier(entry, parent)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      if (left === undefined) break;
      const right = heap[2 * index + 2];
      const isRight = right !== undefined && isEarlier(right, left);
      const child = isRight ? right : left;
      if (!isEarlier(child, last)) break;
      heap[index] = child;
      index = 2 * index + (isRight ? 2 : 1);
    }
    heap[index] = last;
  }
}

function isEarlier(a: Entry, b: Entry): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}

/** After every promise that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
