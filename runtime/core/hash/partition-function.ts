// partition-function.ts: from a key to the number of its partition, by the built-in hashes. Pure.
//
//   key --hash-tag--> the part that counts --hash--> 32 bits --modulo partitions--> 0..partitions-1
//
// Which partition a key lies in is a promise to everybody's data: a change here is a change of
// every cluster.
import type { BuiltinHash } from "../cluster.ts";
import { TwineError } from "../errors.ts";
import { crc16 } from "./crc16.ts";
import { crc32 } from "./crc32.ts";
import type { HashFunction } from "./hash-function.ts";
import { withHashTag } from "./hash-tag.ts";
import { TWEMPROXY_TABLE } from "./twemproxy/table.ts";

/** The partition of a key, from 0. */
export type PartitionFunction = (key: Uint8Array) => number;

/**
 * The partition of the key bytes[start, end), from 0: for a key that still lies in a received
 * buffer.
 */
export type RangePartitionFunction = HashFunction;

/** A built-in's hash by its name in twine.conf. */
export function builtinHash(name: BuiltinHash): HashFunction {
  if (name === "crc32") return crc32;
  if (name === "crc16") return crc16;
  const twemproxyName = name.slice("twemproxy-".length) as keyof typeof TWEMPROXY_TABLE;
  const hash = TWEMPROXY_TABLE[twemproxyName];
  // twemproxy sends an empty key to its first server without hashing it.
  return (bytes, start, end) => (start === end ? 0 : hash(bytes, start, end));
}

/** As builtinPartition, for a key given as a range of a larger buffer. */
export function builtinRangePartition(
  name: BuiltinHash,
  partitions: number,
  hashTag?: string,
): RangePartitionFunction {
  if (!Number.isSafeInteger(partitions) || partitions < 1) {
    throw new TwineError({
      code: "PARTITIONS_BAD",
      message: `${partitions} is no number of partitions`,
      remedy: "give a whole number of at least 1",
    });
  }
  const hash = builtinHash(name);
  return withHashTag(hashTag, (bytes, start, end) => hash(bytes, start, end) % partitions);
}

/**
 * `hash % partitions`, over the key's hash tag when it has one. With a twemproxy-NAME this is
 * where twemproxy's `distribution: modula` puts the key when its servers have weight 1. twemproxy
 * numbers its servers not as they stand in its file but sorted by name (without one: host:port),
 * shorter names first, equally long ones by text. Throws PARTITIONS_BAD, HASH_TAG_BAD.
 */
export function builtinPartition(
  name: BuiltinHash,
  partitions: number,
  hashTag?: string,
): PartitionFunction {
  const partitionOf = builtinRangePartition(name, partitions, hashTag);
  return (key) => partitionOf(key, 0, key.length);
}
