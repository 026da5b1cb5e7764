// The small parts of the grammar: words and quotes, durations, sizes, ranges, nearness of words.
import { describe, expect, test } from "vitest";
import { parseDuration, printDuration } from "../../../runtime/core/conf/durations.ts";
import { printWord, readLine } from "../../../runtime/core/conf/lines.ts";
import { printRanges } from "../../../runtime/core/conf/ranges.ts";
import { ownedRemedy } from "../../../runtime/core/conf/redis-directives.ts";
import { parseSize, printSize } from "../../../runtime/core/conf/sizes.ts";
import { editDistance, suggest } from "../../../runtime/core/conf/suggest.ts";

function wordsOf(text: string): string[] {
  return readLine(text, 1).words.map((word) => word.text);
}

describe("words", () => {
  test("quotes of both kinds keep spaces and # inside a word", () => {
    expect(wordsOf(`a "b # c" 'd e' f#g # h`)).toEqual(["a", "b # c", "d e", "f#g"]);
    expect(wordsOf(String.raw`"a\"b" 'it\'s' "c:\dir" "\\"`)).toEqual([
      'a"b',
      "it's",
      "c:\\dir",
      "\\",
    ]);
  });

  test("a word knows where it stands, quotes included", () => {
    expect(readLine(`  ab "c d"`, 1).words).toEqual([
      { text: "ab", start: 2, end: 4 },
      { text: "c d", start: 5, end: 10 },
    ]);
  });

  test("a printed word is read back as itself", () => {
    for (const word of [
      "a",
      "a b",
      "",
      "#",
      "##",
      "a#b",
      `"`,
      `'`,
      "\\",
      "a\\",
      `it's "x"`,
      "\u00a0",
    ]) {
      expect(wordsOf(`x ${printWord(word)} y`)).toEqual(["x", word, "y"]);
    }
  });
});

describe("durations and sizes", () => {
  test("a duration is a whole number and a unit", () => {
    expect(["500ms", "1s", "10m", "1h", "2d", "0s"].map(parseDuration)).toEqual([
      500, 1000, 600_000, 3_600_000, 172_800_000, 0,
    ]);
    expect(["500", "1.5s", "-1s", "1 s", "s", "1w", ""].map(parseDuration)).toEqual(
      Array.from({ length: 7 }, () => undefined),
    );
    expect([0, 1, 1500, 2000, 90_000, 86_400_000].map(printDuration)).toEqual([
      "0s",
      "1ms",
      "1500ms",
      "2s",
      "90s",
      "1d",
    ]);
  });

  test("a size means what it means to Redis: k is 1000 and kb 1024", () => {
    expect(["1k", "1kb", "64mb", "64M", "1gb", "1g", "2TB", "512", "7b"].map(parseSize)).toEqual([
      1000, 1024, 67_108_864, 64_000_000, 1_073_741_824, 1_000_000_000, 2_199_023_255_552, 512, 7,
    ]);
    expect(["", "mb", "1.5gb", "-1", "1zb", "999999999tb"].map(parseSize)).toEqual(
      Array.from({ length: 6 }, () => undefined),
    );
    expect([0, 67_108_864, 64_000_000, 1025].map(printSize)).toEqual(["0", "64mb", "64m", "1025"]);
  });
});

describe("ranges and nearness", () => {
  test("many numbers become few words", () => {
    expect(printRanges([5, 0, 3, 4, 9, 8])).toBe("0, 3 to 5, 8, 9");
    expect(printRanges([0, 2, 4, 6, 8], 3)).toBe("0, 2, 4 and 2 more");
  });

  test("a swap of neighbours is one slip, as is a letter too many, too few or another", () => {
    expect(editDistance("daat", "data")).toBe(1);
    expect(editDistance("statu", "status")).toBe(1);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("kitten", "sitting")).toBe(3);
  });

  test("a short word is near only to what differs by one letter", () => {
    expect(suggest("dat", ["data", "status"])).toBe("data");
    expect(suggest("xyz", ["data", "status"])).toBeUndefined();
    expect(suggest("", ["data"])).toBeUndefined();
  });
});

test("directives that Redis knows by two names are owned by both, and those of others by none", () => {
  expect(ownedRemedy("slaveof")).toBe(ownedRemedy("replicaof"));
  expect(ownedRemedy("slave-read-only")).toBe(ownedRemedy("replica-read-only"));
  expect(ownedRemedy("min-slaves-to-write")).toBeUndefined();
  expect(ownedRemedy("toString")).toBeUndefined();
  for (const name of ["save", "appendonly", "maxmemory", "repl-diskless-sync-delay"]) {
    expect(ownedRemedy(name)).toBeUndefined();
  }
});
