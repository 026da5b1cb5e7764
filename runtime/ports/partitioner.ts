// partitioner.ts: from a key to its partition, as a port: some hashes are programs or modules of the user's own.

export interface Partitioner {
  /**
   * The partition of a key, from 0: at once where it can be known at once. Built-in hashes never
   * fail; the others throw or reject a TwineError (HASH_FAILED, HASH_ANSWER_BAD, HASH_KEY_BAD,
   * HASH_CLOSED), which fails one key.
   */
  partitionOf(key: Uint8Array): number | Promise<number>;
  /** Ends what still runs; keys that wait for an answer fail with HASH_CLOSED. */
  close(): Promise<void>;
}
