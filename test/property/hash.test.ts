// hash.test.ts: what holds for every key, every built-in hash and every number of partitions.
import fc from "fast-check";
import { expect, test } from "vitest";
import { TWEMPROXY_HASHES, type BuiltinHash } from "../../runtime/core/cluster.ts";
import {
  builtinPartition,
  builtinRangePartition,
} from "../../runtime/core/hash/partition-function.ts";

const HASHES: readonly BuiltinHash[] = [
  "crc32",
  "crc16",
  ...TWEMPROXY_HASHES.map((name) => `twemproxy-${name}` as const),
];
const anyHash = fc.constantFrom(...HASHES);
const anyKey = fc.uint8Array({ maxLength: 80 });
const anyPartitions = fc.integer({ min: 1, max: 16384 });

test("every key has exactly one partition, within range, and always the same one", () => {
  fc.assert(
    fc.property(anyHash, anyKey, anyPartitions, (hash, key, partitions) => {
      const partition = builtinPartition(hash, partitions, "{}")(key);
      expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
      expect(builtinPartition(hash, partitions, "{}")(Uint8Array.from(key))).toBe(partition);
    }),
    { numRuns: 2000 },
  );
});

test("hashing doesn't change the key", () => {
  fc.assert(
    fc.property(anyHash, anyKey, (hash, key) => {
      const before = [...key];
      builtinPartition(hash, 7, "{}")(key);
      expect([...key]).toEqual(before);
    }),
  );
});

test("a key is hashed the same alone and within a larger buffer", () => {
  fc.assert(
    fc.property(anyHash, anyKey, anyKey, anyKey, (hash, before, key, after) => {
      const buffer = Buffer.concat([before, key, after]);
      const inPlace = builtinRangePartition(hash, 1009, "{}");
      const alone = builtinPartition(hash, 1009, "{}");
      expect(inPlace(buffer, before.length, before.length + key.length)).toBe(alone(key));
    }),
    { numRuns: 2000 },
  );
});

test("the hash tag stands between the first opening character and the next closing one", () => {
  // Method: the rule written once more with a regular expression, over keys rich in braces.
  const text = fc.string({ unit: fc.constantFrom("{", "}", "a", "\u00ff"), maxLength: 12 });
  fc.assert(
    fc.property(anyHash, text, (hash, key) => {
      const between = /^[^{]*\{([^}]+)\}/.exec(key)?.[1];
      const tagged = builtinPartition(hash, 65521, "{}")(Buffer.from(key, "latin1"));
      const whole = builtinPartition(hash, 65521)(Buffer.from(between ?? key, "latin1"));
      expect(tagged).toBe(whole);
    }),
    { numRuns: 3000 },
  );
});

test("keys that share a hash tag share a partition", () => {
  const part = fc.uint8Array({ maxLength: 20 }).filter((bytes) => !bytes.includes(0x7b));
  const tag = fc.uint8Array({ minLength: 1, maxLength: 20 }).filter((b) => !b.includes(0x7d));
  const withTag = (before: Uint8Array, tagBytes: Uint8Array, after: Uint8Array): Uint8Array =>
    Buffer.concat([before, Buffer.from("{"), tagBytes, Buffer.from("}"), after]);
  fc.assert(
    fc.property(anyHash, part, tag, part, (hash, before, tagBytes, after) => {
      const partitionOf = builtinPartition(hash, 1009, "{}");
      const one = partitionOf(withTag(before, tagBytes, after));
      expect(partitionOf(withTag(after, tagBytes, before))).toBe(one);
    }),
  );
});
