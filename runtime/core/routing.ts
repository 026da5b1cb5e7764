// routing.ts: maps a key to its partition, as one immutable value. Pure.
//
//   view --RoutingSource--> Routing { partitions, partitionOf(key), ... }     or why this view can't be routed by
//
// The engine replaces the view and its routing together, between two requests, so that no request is hashed by one
// function and sent by another's view. Two routings are the same if they are the same object.
import type { BuiltinHash } from "./cluster.ts";
import type { Distribution } from "./hash/distribution.ts";
import { builtinRangePartition, type RangePartitionFunction } from "./hash/partition-function.ts";
import type { View } from "./view.ts";

export interface Routing {
  /** Number of partitions: 0 to partitions - 1. */
  readonly partitions: number;
  /** The two characters of twine.conf's hash-tag. */
  readonly hashTag: string | undefined;
  /** The partition of a key; a promise for a module or an executable. Throws or rejects as that function does. */
  partitionOf(key: Uint8Array): number | Promise<number>;
  /** The partition of the key bytes[start, end), for functions that return at once: the built-in ones. */
  readonly partitionOfRange: RangePartitionFunction | undefined;
  /** True for a partition whose keys are being moved away: its reads, like all writes, are sent only while a majority of
      the status nodes confirms the view. Absent: false for all. */
  readonly readsNeedConfirmation?: (partition: number) => boolean;
}

/** The view is of another cluster, or its keys are placed by a function that this process does not have. */
export interface RoutingMismatch {
  readonly mismatch: string;
  /** The view is another cluster's: none of it may be shown. */
  readonly isForeign: boolean;
}

export interface RoutingSource {
  /** The routing for that view, or why there is none. undefined, before the first view: this process's own routing. */
  of(view: View | undefined): Routing | RoutingMismatch;
}

/** The routing of a built-in partition function. */
export function builtinRouting(options: {
  readonly hash: BuiltinHash;
  readonly partitions: number;
  readonly hashTag?: string | undefined;
  readonly distribution?: Distribution | undefined;
}): Routing {
  const { hash, partitions, hashTag, distribution } = options;
  const partitionOfRange = builtinRangePartition(hash, partitions, hashTag, distribution);
  return {
    partitions,
    hashTag,
    partitionOfRange,
    partitionOf: (key) => partitionOfRange(key, 0, key.length),
  };
}

/** The same routing for every view. */
export function fixedRouting(routing: Routing): RoutingSource {
  return { of: () => routing };
}

export function isMismatch(found: Routing | RoutingMismatch): found is RoutingMismatch {
  return "mismatch" in found;
}

/** The partition of a key by a built-in function, at once. Pure. */
export function builtinPlace(
  options: Parameters<typeof builtinRouting>[0],
): (key: Uint8Array) => number {
  const { partitionOfRange } = builtinRouting(options);
  if (partitionOfRange === undefined) throw new Error("built-in functions return at once");
  return (key) => partitionOfRange(key, 0, key.length);
}
