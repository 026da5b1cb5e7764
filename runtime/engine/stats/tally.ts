// tally.ts: counts each command's calls, error replies and latency.
//
//   reply-line: a slot for the reply -> command number, time of this tick
//               the reply arrives    -> one bucket of that command +1, its sum, and its errors
//
// This runs for every command, so it uses columns of numbers: no objects, strings or clock. The time is that of the
// event-loop tick (tick.ts), read once for all commands of a tick. So a latency is exact to one tick, some tenths of a
// millisecond under load. It lasts from the tick in which the router read the command to the tick in which the whole
// reply had arrived.

/** Upper bounds of the buckets: 1/16 ms, then doubled up to 16.384 s. One more bucket is above. */
export const BUCKET_BOUNDS_SECONDS: readonly number[] = Array.from(
  { length: 19 },
  (_, index) => 2 ** index / 16_000,
);
const BUCKET_COUNT = BUCKET_BOUNDS_SECONDS.length + 1;
const BUCKETS_PER_MS = 16;

/** Commands that no data node knows are counted together, so that clients can't fill the memory with new names. */
export const OTHER = 0;
export const OTHER_NAME = "other";

const MINUS = 45;
const BANG = 33;

/** One command's figures; figures of several processes can be added. */
export interface CommandFigures {
  /** By bucket, not cumulative; the sum is the number of replies. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
  readonly errors: number;
}

export class CommandTally {
  readonly #tick: { readonly nowMs: number };
  readonly #numbers = new Map<string, number>([[OTHER_NAME, OTHER]]);
  /** By command number and bucket. */
  #buckets = new Float64Array(BUCKET_COUNT);
  #sumsMs = new Float64Array(1);
  #errors = new Float64Array(1);
  #lastTookMs = 0;
  #lastBucket = 0;

  constructor(tick: { readonly nowMs: number }) {
    this.#tick = tick;
  }

  get nowMs(): number {
    return this.#tick.nowMs;
  }

  /** Assigns a number to each new name. */
  learn(names: Iterable<string>): void {
    for (const name of names) {
      if (!this.#numbers.has(name)) this.#numbers.set(name, this.#numbers.size);
    }
    this.#buckets = grown(this.#buckets, this.#numbers.size * BUCKET_COUNT);
    this.#sumsMs = grown(this.#sumsMs, this.#numbers.size);
    this.#errors = grown(this.#errors, this.#numbers.size);
  }

  /** `name` in lower case. */
  numberOf(name: string): number {
    return this.#numbers.get(name) ?? OTHER;
  }

  /** Counts a reply that begins with `firstByte`, to a command read in the tick at `sinceMs`. */
  count(command: number, sinceMs: number, firstByte: number): void {
    const tookMs = this.#tick.nowMs - sinceMs;
    // Most commands of one tick have the same latency.
    if (tookMs !== this.#lastTookMs) {
      this.#lastTookMs = tookMs;
      this.#lastBucket = bucketOf(tookMs);
    }
    const at = command * BUCKET_COUNT + this.#lastBucket;
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1;
    this.#sumsMs[command] = (this.#sumsMs[command] ?? 0) + tookMs;
    if (firstByte === MINUS || firstByte === BANG) {
      this.#errors[command] = (this.#errors[command] ?? 0) + 1;
    }
  }

  /** The figures of commands that were called. */
  figures(): Record<string, CommandFigures> {
    const figures: [string, CommandFigures][] = [];
    for (const [name, command] of this.#numbers) {
      const from = command * BUCKET_COUNT;
      const buckets = [...this.#buckets.subarray(from, from + BUCKET_COUNT)];
      if (buckets.every((count) => count === 0)) continue;
      const [sumMs = 0, errors = 0] = [this.#sumsMs[command], this.#errors[command]];
      figures.push([name, { buckets, sumMs, errors }]);
    }
    return Object.fromEntries(figures);
  }
}

/** The first bucket whose upper bound is not exceeded. The bounds are powers of two, so this counts bits. */
export function bucketOf(tookMs: number): number {
  const sixteenths = Math.ceil(tookMs * BUCKETS_PER_MS);
  if (sixteenths <= 1) return 0;
  return Math.min(32 - Math.clz32(sixteenths - 1), BUCKET_COUNT - 1);
}

function grown(column: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  if (column.length >= length) return column;
  const longer = new Float64Array(length);
  longer.set(column);
  return longer;
}
