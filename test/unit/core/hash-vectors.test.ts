// hash-vectors.test.ts: hashes against published and observed values. Changing one of these
// numbers would move keys in running clusters.
import { createHash } from "node:crypto";
import { crc32 as zlibCrc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { TWEMPROXY_HASHES, type TwemproxyHash } from "../../../runtime/core/cluster.ts";
import { crc16 } from "../../../runtime/core/hash/crc16.ts";
import { crc32 } from "../../../runtime/core/hash/crc32.ts";
import type { HashFunction } from "../../../runtime/core/hash/hash-function.ts";
import { TWEMPROXY_TABLE } from "../../../runtime/core/hash/twemproxy/table.ts";

function hashOf(hash: HashFunction, text: string | Uint8Array): number {
  const bytes = Buffer.from(text);
  return hash(bytes, 0, bytes.length);
}

/** What twemproxy computes for the key "apple". */
const APPLE: Readonly<Record<TwemproxyHash, number>> = {
  one_at_a_time: 2297466611,
  md5: 3195025439,
  crc16: 3662830516,
  crc32: 10542,
  crc32a: 2838417488,
  fnv1_64: 473199127,
  fnv1a_64: 1488911807,
  fnv1_32: 67176023,
  fnv1a_32: 280767167,
  hsieh: 3738850110,
  murmur: 4142305122,
  jenkins: 1442444624,
};

/** Keys of every length from 0 to 200 whose bytes run through all 256 values. */
const RAMPS = Array.from({ length: 201 }, (_, length) =>
  Uint8Array.from({ length }, (__, at) => (length * 37 + at * 101) & 0xff),
);

describe("known values", () => {
  test("crc16 gives the check value of CRC-16/XMODEM", () => {
    expect(hashOf(crc16, "123456789")).toBe(0x31c3);
  });

  test("crc16 gives the slots of Redis Cluster's own documentation and tools", () => {
    expect(hashOf(crc16, "foo") % 16384).toBe(12182);
    expect(hashOf(crc16, "somekey") % 16384).toBe(11058);
  });

  test("crc32 gives the check value of CRC-32", () => {
    expect(hashOf(crc32, "123456789")).toBe(0xcbf43926);
  });

  test("crc32 is zlib's for keys of every length and all bytes", () => {
    for (const key of RAMPS) expect(hashOf(crc32, key)).toBe(zlibCrc32(key));
  });

  test.each(TWEMPROXY_HASHES)("twemproxy's %s of apple is what twemproxy computes", (name) => {
    expect(hashOf(TWEMPROXY_TABLE[name], "apple")).toBe(APPLE[name]);
  });

  test("twemproxy's crc32a is zlib's CRC-32, and its crc32 fifteen bits of it", () => {
    for (const key of RAMPS) {
      expect(hashOf(TWEMPROXY_TABLE.crc32a, key)).toBe(zlibCrc32(key));
      expect(hashOf(TWEMPROXY_TABLE.crc32, key)).toBe((zlibCrc32(key) >>> 16) & 0x7fff);
    }
  });

  test("twemproxy's md5 is the first word of the digest, lowest byte first", () => {
    for (const key of RAMPS) {
      const digest = createHash("md5").update(key).digest();
      expect(hashOf(TWEMPROXY_TABLE.md5, key)).toBe(digest.readUInt32LE(0));
    }
  });

  test("the 64-bit fnv1 is what 64-bit arithmetic gives, cut to its lower half", () => {
    for (const key of RAMPS) {
      let hash = 0xcbf29ce484222325n;
      for (const byte of Int8Array.from(key)) {
        hash = BigInt.asUintN(64, hash * 0x100000001b3n) ^ BigInt.asUintN(64, BigInt(byte));
      }
      expect(hashOf(TWEMPROXY_TABLE.fnv1_64, key)).toBe(Number(BigInt.asUintN(32, hash)));
    }
  });
});

describe("ranges", () => {
  const hashes: readonly (readonly [string, HashFunction])[] = [
    ["crc32", crc32],
    ["crc16", crc16],
    ...Object.entries(TWEMPROXY_TABLE).map(([name, hash]) => [`twemproxy-${name}`, hash] as const),
  ];

  test.each(hashes)("%s of a key within a larger buffer doesn't see its neighbours", (_, hash) => {
    for (const key of RAMPS) {
      const buffer = Buffer.alloc(key.length + 24, 0xee);
      buffer.set(key, 11);
      expect(hash(buffer, 11, 11 + key.length)).toBe(hash(key, 0, key.length));
    }
  });

  test.each(hashes)("%s is an unsigned 32-bit whole number", (_, hash) => {
    for (const key of RAMPS) {
      const value = hash(key, 0, key.length);
      expect(value >>> 0).toBe(value);
    }
  });
});
