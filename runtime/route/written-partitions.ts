// written-partitions.ts: where one client has written, for its WAIT.
// Marked with the number of the master's term (own-connections/pool.ts): what was written under an earlier master may be
// gone, so no replica of the new one proves anything about it.

export class WrittenPartitions {
  /** By partition: the master's present term. Shared by all clients. */
  readonly #now: Int32Array;
  /** By partition: the term in which the client wrote there last; 0: never. */
  #terms: Int32Array | undefined;

  constructor(now: Int32Array) {
    this.#now = now;
  }

  note(partition: number): void {
    this.#terms ??= new Int32Array(this.#now.length);
    this.#terms[partition] = this.#now[partition] ?? 0;
  }

  /** The partitions that a WAIT must ask, and whether something was written under a master that is gone; that is told
      once, as Redis would end the connection and so forget it. Without any write all partitions are asked. */
  forWait(): { readonly partitions: number[]; readonly hasLost: boolean } {
    const written = this.#terms;
    const all = Array.from(this.#now.keys());
    if (written === undefined) return { partitions: all, hasLost: false };
    const lost = all.filter((at) => written[at] !== 0 && written[at] !== this.#now[at]);
    for (const partition of lost) written[partition] = 0;
    const partitions = all.filter((at) => written[at] !== 0);
    const isAsked = partitions.length > 0 || lost.length > 0;
    return { partitions: isAsked ? partitions : all, hasLost: lost.length > 0 };
  }

  clear(): void {
    this.#terms = undefined;
  }
}
