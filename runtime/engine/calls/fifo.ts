// fifo.ts: a queue whose cost per item does not depend on its length. Pure.

export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #first = 0;

  get head(): T | undefined {
    return this.#items[this.#first];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const { head } = this;
    if (this.#first === this.#items.length) return undefined;
    this.#items[this.#first++] = undefined;
    // Half of the array is free: compact it. Each item is moved at most once for each item that was removed.
    if (this.#first * 2 < this.#items.length) return head;
    this.#items = this.#items.slice(this.#first);
    this.#first = 0;
    return head;
  }
}
