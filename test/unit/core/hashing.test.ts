// hashing.test.ts: a partition function is known by what it does, in this version's views and in the previous one's.
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { BuiltinHash } from "../../../runtime/core/cluster.ts";
import { BUILTIN_HASHES } from "../../../runtime/core/conf/hash-setting.ts";
import { fingerprintOf } from "../../../runtime/core/hash/fingerprint.ts";
import { PROBE_KEY_COUNT, probeKeys } from "../../../runtime/core/hash/probe-keys.ts";
import {
  builtinHashing,
  describeHashing,
  hashingFromSentence,
  hashingMismatch,
  hashingWith,
  isSameHashing,
  requireSameHashing,
  settingsOfHashing,
  type Hashing,
} from "../../../runtime/core/hashing.ts";

function builtin(name: BuiltinHash, partitions = 2, hashTag?: string) {
  const tag = hashTag === undefined ? {} : { hashTag };
  return builtinHashing({ hash: { kind: "builtin", name }, partitions, ...tag });
}

function module(path: string, fingerprint: string | null) {
  return hashingWith({ hash: { kind: "module", path }, partitions: 2 }, fingerprint);
}

test("the probe keys and what crc32 makes of them never change: views hold it", () => {
  const keys = probeKeys();
  expect(keys).toHaveLength(PROBE_KEY_COUNT);
  expect(new Set(keys.map((key) => Buffer.from(key).toString("hex"))).size).toBe(PROBE_KEY_COUNT);
  expect(keys.some((key) => key.includes(0))).toBe(false);
  const digest = createHash("sha256");
  for (const key of keys) digest.update(key).update("\0");
  expect(digest.digest("hex").slice(0, 16)).toMatchInlineSnapshot(`"4424a9a22f96aa83"`);
  expect(builtin("crc32").fingerprint).toMatchInlineSnapshot(`"f80d7b23bfa4523e"`);
  expect(builtin("crc32", 64, "{}").fingerprint).toMatchInlineSnapshot(`"886323704cefde5e"`);
});

test("every built-in function has a fingerprint of its own, but for the two names of one function", () => {
  const fingerprints = new Map(BUILTIN_HASHES.map((name) => [name, builtin(name, 61).fingerprint]));
  const alike = [...fingerprints].filter(
    ([name, fingerprint]) =>
      [...fingerprints].filter(([other, its]) => other !== name && its === fingerprint).length > 0,
  );
  expect(alike.map(([name]) => name)).toMatchInlineSnapshot(`
    [
      "crc32",
      "twemproxy-crc32a",
    ]
  `);
});

test("two hashings are the same when kind, tag, number and fingerprint are, whatever their names", () => {
  const known = module("./a.mjs", "1111");
  expect(isSameHashing(known, module("/elsewhere/b.mjs", "1111"))).toBe(true);
  expect(isSameHashing(known, module("./a.mjs", "2222"))).toBe(false);
  expect(isSameHashing(known, { ...known, kind: "executable" })).toBe(false);
  expect(isSameHashing(known, { ...known, tag: "{}" })).toBe(false);
  expect(isSameHashing(known, { ...known, partitions: 3 })).toBe(false);
});

test("a mismatch names both functions with both fingerprints", () => {
  const [recorded, own] = [module("./a.mjs", "1111"), module("./a.mjs", "2222")];
  expect(hashingMismatch({ hashing: recorded }, own)).toBe(
    "the keys are placed by ./a.mjs over 2 partitions, no hash tag (fingerprint 1111), " +
      "but this twine.conf says ./a.mjs over 2 partitions, no hash tag (fingerprint 2222)",
  );
  expect(hashingMismatch({ hashing: recorded }, recorded)).toBeUndefined();
  expect(hashingMismatch({}, own)).toBeUndefined();
});

test("the error names what mends it: the line of twine.conf, or the function in the file", () => {
  const attempt = (recorded: Hashing, own: Hashing) => () => {
    requireSameHashing({ hashing: recorded }, { file: "twine.conf" }, own);
  };
  expect(attempt(builtin("crc32"), builtin("crc16"))).toThrow(
    "write in twine.conf again: hash crc32",
  );
  expect(attempt(module("./a.mjs", "1111"), module("./a.mjs", "2222"))).toThrow(
    "restore the function that was in ./a.mjs when the keys were written (fingerprint 1111)",
  );
});

test("a view without a fingerprint is judged by the path, an own function that was not asked by nothing", () => {
  const recorded = module("./a.mjs", null);
  expect(isSameHashing(recorded, module("./a.mjs", "1111"))).toBe(true);
  expect(isSameHashing(recorded, module("./b.mjs", "1111"))).toBe(false);
  expect(isSameHashing(module("./a.mjs", "1111"), module("./b.mjs", null))).toBe(true);
});

test("a fingerprint depends on the partition of every key", () => {
  const answers = probeKeys().map((_, index) => index % 2);
  const swapped = answers.toSpliced(200, 1, 1 - (answers[200] ?? 0));
  expect(fingerprintOf(swapped)).not.toBe(fingerprintOf(answers));
});

test("the sentences of the previous version are read as what they meant", () => {
  for (const hashing of [builtin("crc32"), builtin("crc16", 64, "{}"), builtin("twemproxy-md5")]) {
    const tag = hashing.tag === null ? "no hash tag" : `hash tag ${hashing.tag}`;
    const sentence = `${hashing.name} over ${hashing.partitions} partitions, ${tag}`;
    expect(hashingFromSentence(sentence)).toEqual(hashing);
  }
  expect(hashingFromSentence("./my-hash.mjs over 2 partitions, no hash tag")).toEqual(
    module("./my-hash.mjs", null),
  );
  expect(hashingFromSentence("crc32 over many partitions, no hash tag")).toBeUndefined();
  expect(hashingFromSentence("")).toBeUndefined();
});

test("settings come back from a built-in hashing, and from no other", () => {
  const { hash, hashTag, partitions } = settingsOfHashing(builtin("crc16", 64, "{}")) ?? {};
  expect({ hash, hashTag, partitions }).toEqual({
    hash: { kind: "builtin", name: "crc16" },
    hashTag: "{}",
    partitions: 64,
  });
  expect(settingsOfHashing(module("./a.mjs", "1111"))).toBeUndefined();
  expect(describeHashing(module("./a.mjs", null))).toContain("(fingerprint not recorded)");
});
