// partition-function.ts: maps a key to its partition with the built-in hashes. Pure.
//
//   key --hash-tag--> the part to hash --hash--> 32 bits --modulo partitions--> 0..partitions-1
//                                                        --distribution (ketama, weights, slots)-->
//
// A change here moves the keys of every existing cluster.
import type { BuiltinHash } from "../cluster.ts";
import { TwineError } from "../errors.ts";
import { crc16 } from "./crc16.ts";
import { crc32 } from "./crc32.ts";
import { distribute, partitionsOf, type Distribution } from "./distribution.ts";
import type { HashFunction } from "./hash-function.ts";
import { withHashTag } from "./hash-tag.ts";
import { TWEMPROXY_TABLE } from "./twemproxy/table.ts";

/** The partition of a key, from 0. */
export type PartitionFunction = (key: Uint8Array) => number;

/** The partition of the key bytes[start, end), from 0: for a key in a receive buffer. */
export type RangePartitionFunction = HashFunction;

/** A built-in hash by its name in twine.conf. */
export function builtinHash(name: BuiltinHash): HashFunction {
  if (name === "crc32") return crc32;
  if (name === "crc16") return crc16;
  const twemproxyName = name.slice("twemproxy-".length) as keyof typeof TWEMPROXY_TABLE;
  const hash = TWEMPROXY_TABLE[twemproxyName];
  // twemproxy sends an empty key to its first server without hashing it.
  return (bytes, start, end) => (start === end ? 0 : hash(bytes, start, end));
}

/** As builtinPartition, for a key that is a range of a larger buffer. */
export function builtinRangePartition(
  name: BuiltinHash,
  partitions: number,
  hashTag?: string,
  distribution?: Distribution,
): RangePartitionFunction {
  if (!Number.isSafeInteger(partitions) || partitions < 1) {
    throw new TwineError({
      code: "PARTITIONS_BAD",
      message: `${partitions} is no number of partitions`,
      remedy: "give a whole number of at least 1",
    });
  }
  const hash = builtinHash(name);
  if (distribution !== undefined) {
    requireParts(distribution, partitions);
    const partitionOfHash = distribute(distribution);
    return withHashTag(hashTag, (bytes, start, end) => partitionOfHash(hash(bytes, start, end)));
  }
  return withHashTag(hashTag, (bytes, start, end) => hash(bytes, start, end) % partitions);
}

function requireParts(distribution: Distribution, partitions: number): void {
  const parts = partitionsOf(distribution);
  if (parts === partitions) return;
  throw new TwineError({
    code: "PARTITIONS_BAD",
    message: `the ${distribution.kind} of this hash is for ${parts} partitions, not for ${partitions}`,
    remedy: "write one part for each partition behind `hash`",
  });
}

/**
 * `hash % partitions` over the key's hash tag, or over the whole key if it has none. With twemproxy-NAME the result
 * equals twemproxy's `distribution: modula` with weight 1. twemproxy numbers its servers by name (without a name:
 * host:port), not by their order in its file: shorter names first, names of equal length by text. With `distribution`,
 * its rule replaces the modulo. Throws PARTITIONS_BAD, HASH_TAG_BAD.
 */
export function builtinPartition(
  name: BuiltinHash,
  partitions: number,
  hashTag?: string,
  distribution?: Distribution,
): PartitionFunction {
  const partitionOf = builtinRangePartition(name, partitions, hashTag, distribution);
  return (key) => partitionOf(key, 0, key.length);
}
