// partitioner.ts: maps a key to its partition, as a port, because some hashes are users' programs or modules.
import type { Hashing } from "../core/hashing.ts";

export interface Partitioner {
  /**
   * The partition of a key, from 0; synchronous if possible. Built-in hashes never fail. The others throw or reject with
   * a TwineError (HASH_FAILED, HASH_ANSWER_BAD, HASH_KEY_BAD, HASH_CLOSED), which concerns only this key.
   */
  partitionOf(key: Uint8Array): number | Promise<number>;
  /** The partitions of many keys by one call, in order. undefined: use partitionOf for each key. Absent if one call costs
      almost nothing. Rejects as partitionOf does. */
  partitionsOf?(keys: readonly Uint8Array[]): Promise<readonly number[] | undefined>;
  /** Ends running processes. Keys without a result fail with HASH_CLOSED. */
  close(): Promise<void>;
}

/** A partitioner with its fingerprint, which can be compared with the view's. */
export interface FingerprintedPartitioner extends Partitioner {
  readonly hashing: Hashing;
}
