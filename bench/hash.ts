// hash.ts: how many keys per second each built-in hash finds a partition for. `node bench/hash.ts`
// Each row is the median of seven runs over the same 1,024 keys as people write them (8 to 40
// bytes); node's own zlib.crc32 stands beside. The tagged column has the hash-tag {} on, with
// every second key tagged.
import { crc32 as zlibCrc32 } from "node:zlib";
import { BUILTIN_HASHES } from "../runtime/core/conf/hash-setting.ts";
import {
  builtinPartition,
  type PartitionFunction,
} from "../runtime/core/hash/partition-function.ts";

const PARTITIONS = 64;
const KEYS = 1024;
const ROUNDS = 400;
const RUNS = 7;

function keysOf(isTagged: boolean): Uint8Array[] {
  return Array.from({ length: KEYS }, (_, at) => {
    const name = isTagged && at % 2 === 1 ? `user:{${at * 7919}}:` : `user:${at * 7919}:`;
    return Buffer.from(name + "profile-name-and-address".slice(0, at % 25));
  });
}

/** Million keys per second, the median of the runs. */
function speedOf(partitionOf: PartitionFunction, keys: readonly Uint8Array[]): number {
  const speeds: number[] = [];
  let sum = 0;
  for (let run = 0; run <= RUNS; run += 1) {
    const startMs = performance.now();
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const key of keys) sum += partitionOf(key);
    }
    const seconds = (performance.now() - startMs) / 1000;
    // The first run is the compiler's.
    if (run > 0) speeds.push((ROUNDS * keys.length) / seconds / 1e6);
  }
  // The sum is used, so that no compiler may leave the work out.
  if (sum < 0) throw new Error("a partition is never negative");
  return speeds.toSorted((a, b) => a - b)[RUNS >> 1] ?? 0;
}

function print(name: string, plain: string, tagged: string): void {
  process.stdout.write(`${name.padEnd(26)} ${plain.padStart(10)} ${tagged.padStart(10)}\n`);
}

process.stdout.write(`million keys per second, Node ${process.version}\n`);
print("hash", "plain", "tagged");
for (const name of BUILTIN_HASHES) {
  const plain = speedOf(builtinPartition(name, PARTITIONS), keysOf(false));
  const tagged = speedOf(builtinPartition(name, PARTITIONS, "{}"), keysOf(true));
  print(name, plain.toFixed(2), tagged.toFixed(2));
}
const beside = speedOf((key) => zlibCrc32(key) % PARTITIONS, keysOf(false));
print("node:zlib crc32, beside", beside.toFixed(2), "-");
