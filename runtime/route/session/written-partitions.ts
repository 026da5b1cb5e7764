// written-partitions.ts: the partitions to which a client has written, for its WAIT.
// Each has the master generation of the write: writes under an earlier master may be lost, so the new master's replicas
// prove nothing about them.

/** By partition: the number of its present master, from 1. Shared by all clients. */
export class MasterGenerations {
  counts: Int32Array;

  constructor(partitions: number) {
    this.counts = new Int32Array(partitions).fill(1);
  }

  /** Call this when the partition's master has changed. */
  next(partition: number): void {
    this.counts[partition] = (this.counts[partition] ?? 0) + 1;
  }

  /** The keys are in other partitions now: no earlier write can be proved. */
  restart(partitions: number): void {
    const next = Math.max(0, ...this.counts) + 1;
    this.counts = new Int32Array(partitions).fill(next);
  }
}

export class WrittenPartitions {
  readonly #now: MasterGenerations;
  /** By partition: the generation of the client's last write there; 0: none. */
  #written: Int32Array | undefined;

  constructor(now: MasterGenerations) {
    this.#now = now;
  }

  note(partition: number): void {
    const { counts } = this.#now;
    const written = this.#written;
    const isWide = written !== undefined && written.length >= counts.length;
    (isWide ? written : this.#grow(counts.length))[partition] = counts[partition] ?? 0;
  }

  /** The partitions to ask for a WAIT, and whether a write went to an earlier master. The loss is reported once: Redis
      would close the connection, which also forgets it. A client without writes gets all partitions. */
  forWait(): { readonly partitions: number[]; readonly hasLost: boolean } {
    const { counts } = this.#now;
    const all = Array.from(counts.keys());
    const written = this.#written;
    if (written === undefined) return { partitions: all, hasLost: false };
    const lost = Array.from(written.keys()).filter(
      (at) => written[at] !== 0 && written[at] !== counts[at],
    );
    for (const partition of lost) written[partition] = 0;
    const partitions = all.filter((at) => (written[at] ?? 0) !== 0);
    const isAsked = partitions.length > 0 || lost.length > 0;
    return { partitions: isAsked ? partitions : all, hasLost: lost.length > 0 };
  }

  clear(): void {
    this.#written = undefined;
  }

  #grow(partitions: number): Int32Array {
    const wider = new Int32Array(partitions);
    if (this.#written !== undefined) wider.set(this.#written);
    return (this.#written = wider);
  }
}
