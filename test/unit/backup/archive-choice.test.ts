import { expect, test } from "vitest";
import { isJoinDue } from "../../../runtime/backup/archive/ship.ts";
import { chainsIn } from "../../../runtime/backup/archive/archive-spans.ts";
import type { RunHead } from "../../../runtime/backup/archive/run-head.ts";
import { timeIn } from "../../../runtime/backup/restore/chosen-source.ts";

test.each([
  ["latest", Infinity],
  ["2026-11-30T17:04:05Z", Date.UTC(2026, 10, 30, 17, 4, 5)],
  ["2026-11-30T17:04Z", Date.UTC(2026, 10, 30, 17, 4)],
  ["2026-11-30T17:04:05.25+01:00", Date.UTC(2026, 10, 30, 16, 4, 5, 250)],
])("--to %s", (text, ms) => {
  expect(timeIn(text)).toBe(ms);
});

test.each(["", "now", "17:04:05", "2026-11-30", "2026-11-30T17:04:05", "2026-13-30T17:04:05Z"])(
  "--to %j is no time",
  (text) => {
    expect(() => timeIn(text)).toThrow("this is no time");
  },
);

test("files are joined when there are many or large ones of a run, or when it is over", () => {
  const files = (count: number, bytes: number) => Array.from({ length: count }, () => ({ bytes }));
  expect(isJoinDue(files(255, 10), false)).toBe(false);
  expect(isJoinDue(files(256, 10), false)).toBe(true);
  expect(isJoinDue(files(2, 16 * 1024 * 1024), false)).toBe(true);
  expect(isJoinDue(files(2, 10), true)).toBe(true);
  expect(isJoinDue(files(1, 10), true)).toBe(false);
});

function head(
  run: string,
  continues: string | undefined,
  ...before: (string | undefined)[]
): RunHead {
  return {
    ...{ format: 1, run, cluster: "c", startedAt: run, twineVersion: "1", compression: "none" },
    ...(continues === undefined ? {} : { continues: { run: continues, block: 3 } }),
    why: `why ${run}`,
    starts: before.map((id) => ({
      ...{ replicationId: "i", offset: 0 },
      ...(id === undefined ? {} : { before: id }),
    })),
  };
}

test("a gap of any partition ends a chain of runs; other runs continue it", () => {
  const heads = [
    head("1", undefined, undefined, undefined),
    head("2", "1", "i", "i"),
    head("3", "2", "i", undefined),
    head("4", "3", "i", "i"),
    head("5", undefined, undefined, undefined),
  ];
  const index = { heads: new Map(heads.map((one) => [one.run, one])), segments: [] };
  expect(chainsIn(index)).toEqual([
    { end: "2", gap: "" },
    { end: "4", gap: "why 3" },
    { end: "5", gap: "why 5" },
  ]);
});
