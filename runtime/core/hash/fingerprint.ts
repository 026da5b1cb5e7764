// fingerprint.ts: a short text that identifies a partition function by its results. Pure.
import { createHash } from "node:crypto";
import type { PartitionFunction } from "./partition-function.ts";
import { probeKeys } from "./probe-keys.ts";

/** 16 hex digits: from the SHA-256 of the probe keys' partitions, in the order of the keys. */
export function fingerprintOf(partitions: readonly number[]): string {
  return createHash("sha256").update(partitions.join(",")).digest("hex").slice(0, 16);
}

/** The fingerprint of a synchronous function. */
export function fingerprintOfFunction(partitionOf: PartitionFunction): string {
  return fingerprintOf(probeKeys().map(partitionOf));
}
