// history.ts: a simulated node's place in the stream of writes: replication id, offset, backlog.
//
//   id, offset         where this node stands, on which history
//   second id, end     the history before the last promotion, and how far it is the same
//   backlog            the last writes, for who comes back and wants to go on instead of copying everything
import type { SeededRandom } from "../support/seeded-random.ts";

export class History {
  id = "";
  offset = 0;
  secondId = "";
  /** How far `secondId` reaches. */
  secondEnd = -1;
  readonly #name: string;
  readonly #random: SeededRandom;
  readonly #size: number;
  /** null: no replica was ever here, and nothing is counted. */
  #backlog: number[] | null = null;
  /** Offset before the first entry of the backlog. */
  #start = 0;

  constructor(name: string, random: SeededRandom, size: number) {
    this.#name = name;
    this.#random = random;
    this.#size = size;
  }

  get hasBacklog(): boolean {
    return this.#backlog !== null;
  }

  /** A fresh process; `id` as its RDB had it, or none. */
  start(id: string | null, offset: number): void {
    this.id = id ?? this.#newId();
    this.offset = offset;
    this.#forget();
    this.#backlog = null;
  }

  /** What is here is a copy of `id` up to `offset`. */
  copied(id: string, offset: number): void {
    this.id = id;
    this.offset = offset;
    this.#forget();
    this.openBacklog();
  }

  /** From here on another id; the old one stays known up to here. */
  shift(id: string = this.#newId()): void {
    this.secondId = this.id;
    this.secondEnd = this.offset;
    this.id = id;
  }

  /** There is no valid past without a backlog: the first replica begins a new history. */
  renew(): void {
    this.id = this.#newId();
    this.#forget();
    this.openBacklog();
  }

  openBacklog(): void {
    this.#backlog = [];
    this.#start = this.offset;
  }

  /** Counts writes, when anybody ever followed. */
  feed(writes: readonly number[]): void {
    const backlog = this.#backlog;
    if (backlog === null) return;
    this.offset += writes.length;
    backlog.push(...writes);
    const excess = backlog.length - this.#size;
    // Not at every write: cutting an array from the front costs its length.
    if (excess > this.#size / 4) {
      backlog.splice(0, excess);
      this.#start += excess;
    }
  }

  /** What came after `offset` of history `id`, or undefined when everything must be copied. */
  since(id: string, offset: number): readonly number[] | undefined {
    const isKnown = id === this.id || (id === this.secondId && offset <= this.secondEnd);
    return isKnown ? this.after(offset) : undefined;
  }

  /** What came after `offset` of the present history, or undefined when the backlog lacks some of it. */
  after(offset: number): readonly number[] | undefined {
    const isHeld = this.#backlog !== null && offset >= this.#start && offset <= this.offset;
    return isHeld ? this.#backlog?.slice(offset - this.#start) : undefined;
  }

  #forget(): void {
    this.secondId = "";
    this.secondEnd = -1;
  }

  #newId(): string {
    const digits = Math.floor(this.#random.next() * 2 ** 32).toString(16);
    return `${this.#name}.${digits}`;
  }
}
