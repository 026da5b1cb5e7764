// tally.ts: how often each command came, how often its reply was an error, and how long it took.
//
//   reply-line: a place for the reply -> command number, time of this turn
//               the reply comes       -> one bucket of that command +1, its sum, and its errors
//
// This is on the way of every command, so it is columns of numbers and no object, no string and no clock of its own:
// time is that of the turn of the event loop (turn.ts), read once for all commands of one turn. A latency is therefore
// right to one turn, some tenths of a millisecond under load, and reaches from the turn in which the router read the
// command to the one in which the whole reply had come.

/** Upper bounds of the buckets: 1/16 ms, and each the double of the one before, to 16.384 s. Above is one more. */
export const BUCKET_BOUNDS_SECONDS: readonly number[] = Array.from(
  { length: 19 },
  (_, index) => 2 ** index / 16_000,
);
const BUCKET_COUNT = BUCKET_BOUNDS_SECONDS.length + 1;
const BUCKETS_PER_MS = 16;

/** Names that no data node knows are counted together: a client must not fill the memory with names of its own. */
export const OTHER = 0;
export const OTHER_NAME = "other";

const MINUS = 45;
const BANG = 33;

/** One command's figures; those of several processes can be added. */
export interface CommandFigures {
  /** By bucket, not cumulative; their sum is the number of replies. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
  readonly errors: number;
}

export class CommandTally {
  readonly #turn: { readonly nowMs: number };
  readonly #numbers = new Map<string, number>([[OTHER_NAME, OTHER]]);
  /** By command number and bucket. */
  #buckets = new Float64Array(BUCKET_COUNT);
  #sumsMs = new Float64Array(1);
  #errors = new Float64Array(1);
  #lastTookMs = 0;
  #lastBucket = 0;

  constructor(turn: { readonly nowMs: number }) {
    this.#turn = turn;
  }

  get nowMs(): number {
    return this.#turn.nowMs;
  }

  /** Gives each name that is new a number of its own. */
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

  /** A reply that begins with `firstByte` has come to a command of the turn at `sinceMs`. */
  count(command: number, sinceMs: number, firstByte: number): void {
    const tookMs = this.#turn.nowMs - sinceMs;
    // The commands of one turn mostly take alike.
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

  /** Of the commands that have come. */
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

/** The first bucket whose upper bound is not below: the bounds are powers of two, so it is a count of bits. */
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
