// distribution.test.ts: what clusters that are taken over do with a hash: twemproxy's ring and weights, Redis Cluster's slots.
// The ring itself is held against the real nutcracker in test/integration/hash-twemproxy.test.ts.
import { describe, expect, test } from "vitest";
import { digestOfConf, canonicalConf } from "../../../runtime/core/conf/digest.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { printConf } from "../../../runtime/core/conf/print.ts";
import {
  digestsOf,
  distribute,
  parseDistribution,
  printDistribution,
  type Distribution,
} from "../../../runtime/core/hash/distribution.ts";
import { builtinPartition } from "../../../runtime/core/hash/partition-function.ts";
import {
  builtinHashing,
  describeHashing,
  hashingMismatch,
  settingsOfHashing,
} from "../../../runtime/core/hashing.ts";

const DATA = "a=data 0 6666 0\nb=data 1 6667 0\n";

function parsed(words: string): Distribution {
  const found = parseDistribution(words.split(" "));
  if (typeof found === "string") throw new Error(found);
  return found;
}

test("slots: each hash lies where its slot is", () => {
  const partitionOf = distribute(parsed("slots 0-99,16383 100-16382"));
  expect([0, 99, 100, 16382, 16383, 16384].map(partitionOf)).toEqual([0, 0, 1, 1, 0, 0]);
});

test("weighted modulo: each partition as often as its weight", () => {
  const partitionOf = distribute(parsed("modula a:1 b:3"));
  expect([0, 1, 2, 3, 4].map(partitionOf)).toEqual([0, 1, 1, 1, 0]);
});

test("one server has every key, whatever its ring", () => {
  expect(distribute(parsed("ketama a:7"))(0xffffffff)).toBe(0);
});

test("a small weight gets no point of the ring", () => {
  expect(digestsOf(1, 1000, 2)).toBe(0);
  expect(digestsOf(1, 2, 2)).toBe(40);
});

test("what is printed is read back as the same", () => {
  for (const words of [
    "slots 0-99,16383 100-16382",
    "ketama 127.0.0.1:6379:1 b#:20",
    "modula x:1",
  ]) {
    expect(printDistribution(parsed(words)).join(" ")).toBe(words);
  }
});

describe("wrong distributions in twine.conf", () => {
  test.each([
    ["hash twemproxy-md5 ketma a:1 b:1", "CONF_UNKNOWN_HASH 3:20", "'ketma' is no distribution"],
    ["hash twemproxy-md5 ketama", "CONF_UNKNOWN_HASH 3:20", "one NAME:WEIGHT for each"],
    ["hash twemproxy-md5 ketama a:1 b:0", "CONF_UNKNOWN_HASH 3:20", "'b:0' is not NAME:WEIGHT"],
    ["hash twemproxy-md5 ketama a:1 a:2", "CONF_UNKNOWN_HASH 3:20", "'a' is there twice"],
    ["hash twemproxy-md5 modula a:999999 b:9", "CONF_UNKNOWN_HASH 3:20", "more than 1000000"],
    [
      `hash twemproxy-md5 ketama a:1 ${"b".repeat(81)}:1`,
      "CONF_UNKNOWN_HASH 3:20",
      "longer than 80",
    ],
    ["hash crc16 slots 0-16383", "CONF_HASH_PARTS 3:1", "has 1 parts, but there are 2"],
    ["hash crc16 slots 0-8191 8191-16383", "CONF_UNKNOWN_HASH 3:12", "slot 8191 is in 0-8191 and"],
    ["hash crc16 slots 0-8191 8193-16383", "CONF_UNKNOWN_HASH 3:12", "slot 8192 is in no"],
    ["hash crc16 slots 0-8191 8192-16384", "CONF_UNKNOWN_HASH 3:12", "'8192-16384' is no range"],
    ["hash ./a.mjs slots", "CONF_UNKNOWN_HASH 3:14", "takes nothing more"],
  ])("%s", (line, place, message) => {
    const { errors } = parseConf(`${DATA}${line}\n`, "twine.conf");
    expect(errors.map(({ code, at }) => `${code} ${at?.line}:${at?.column}`)).toEqual([place]);
    expect(errors[0]?.message).toContain(message);
    expect(errors[0]?.remedy).toBeTruthy();
  });
});

test("a distribution is part of the file, of its digest and of the view's hashing", () => {
  const ring = "hash twemproxy-md5 ketama a:1 b:2\n";
  const { config } = parseConf(`${DATA}${ring}`, "twine.conf");
  const other = parseConf(`${DATA}${ring.replace("b:2", "b:3")}`, "twine.conf").config;
  if (config === undefined || other === undefined) throw new Error("it parses");
  expect(printConf(config)).toContain(ring);
  expect(digestOfConf(canonicalConf(config))).not.toBe(digestOfConf(canonicalConf(other)));

  const hashing = builtinHashing(config.settings);
  // Whoever knows the view alone finds the same function again.
  expect(settingsOfHashing(hashing)?.hash).toEqual(config.settings.hash);
  expect(hashingMismatch({ hashing }, builtinHashing(config.settings))).toBeUndefined();
  expect(hashingMismatch({ hashing }, builtinHashing(other.settings))).toContain("twemproxy-md5");
  expect(describeHashing(hashing)).toMatch(/^twemproxy-md5 ketama over 2 partitions, no hash tag/);
});

test("a ring of two servers is refused for three partitions", () => {
  const ring = parsed("ketama a:1 b:1");
  expect(() => builtinPartition("twemproxy-md5", 3, undefined, ring)).toThrow(/for 2 partitions/);
});
