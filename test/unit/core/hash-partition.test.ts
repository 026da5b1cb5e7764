// hash-partition.test.ts: from a key to its partition, by the built-in hashes.
import { describe, expect, test } from "vitest";
import { builtinPartition } from "../../../runtime/core/hash/partition-function.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

describe("builtinPartition", () => {
  test("is the hash modulo the number of partitions", () => {
    expect(builtinPartition("crc32", 64)(bytes("123456789"))).toBe(0xcbf43926 % 64);
    expect(builtinPartition("crc16", 1000)(bytes("123456789"))).toBe(0x31c3 % 1000);
    expect(builtinPartition("twemproxy-murmur", 7)(bytes("apple"))).toBe(4142305122 % 7);
  });

  test("sends every key to partition 0 when there is one", () => {
    const partitionOf = builtinPartition("twemproxy-jenkins", 1);
    expect(["", "a", "apple", "\xff\xfe"].map((key) => partitionOf(bytes(key)))).toEqual([
      0, 0, 0, 0,
    ]);
  });

  test("sends twemproxy's empty key to its first server", () => {
    expect(builtinPartition("twemproxy-murmur", 5)(bytes(""))).toBe(0);
    expect(builtinPartition("twemproxy-fnv1a_64", 5)(bytes(""))).toBe(0);
  });

  test("refuses a number of partitions that is none", () => {
    for (const partitions of [0, -1, 1.5, Number.NaN]) {
      expect(() => builtinPartition("crc32", partitions)).toThrow(/no number of partitions/);
    }
  });
});

describe("hash tags", () => {
  const tagged = builtinPartition("crc32", 1_000_003, "{}");
  const plain = builtinPartition("crc32", 1_000_003);

  test.each([
    ["user:{42}:name", "42"],
    ["{42}", "42"],
    ["{a}{b}", "a"],
    ["x{{a}}", "{a"],
    ["}{a}", "a"],
    ["a}b{c}d", "c"],
    ["{\xe9}", "\xe9"],
  ])("of %s only %s is hashed", (key, part) => {
    expect(tagged(bytes(key))).toBe(plain(bytes(part)));
  });

  test.each(["", "plain", "{}", "{}{a}", "{a", "a}", "}a{", "a{}b{c}"])(
    "%s is hashed whole, for nothing stands between the first pair",
    (key) => {
      expect(tagged(bytes(key))).toBe(plain(bytes(key)));
    },
  );

  test("the two characters may be the same", () => {
    const barred = builtinPartition("crc32", 1_000_003, "||");
    expect(barred(bytes("a|b|c"))).toBe(plain(bytes("b")));
    expect(barred(bytes("a||c"))).toBe(plain(bytes("a||c")));
  });

  test.each(["", "{", "{}}", "é}", "{é"])("the hash-tag '%s' is refused", (hashTag) => {
    expect(() => builtinPartition("crc32", 2, hashTag)).toThrow(/two characters/);
  });
});
