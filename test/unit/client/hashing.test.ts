// hashing.test.ts: a client that knows only status nodes reads the hashing from the view's words.
import { expect, test } from "vitest";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { hashingFrom, hashingOf } from "../../../runtime/core/hashing.ts";

test("the view's words for the hashing give back what they were made from", () => {
  for (const hash of ["crc32", "crc16", "twemproxy-md5"]) {
    for (const tag of ["", "hash-tag {}\n", "hash-tag ::\n"]) {
      const { config } = parseConf(`a=data 0 1 0\nb=data 1 2 0\nhash ${hash}\n${tag}`, "f");
      if (config === undefined) throw new Error("the conf is wrong");
      const found = hashingFrom(hashingOf(config));
      expect({ ...config.settings, ...found }).toEqual(config.settings);
      expect(found?.partitions).toBe(2);
    }
  }
});

test("a hash of the user's own, or other words, give nothing", () => {
  expect(hashingFrom("./my-hash.mjs over 2 partitions, no hash tag")).toBeUndefined();
  expect(hashingFrom("")).toBeUndefined();
  expect(hashingFrom("crc32 over many partitions, no hash tag")).toBeUndefined();
});
