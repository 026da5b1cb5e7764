import fc from "fast-check";
import { expect, test } from "vitest";
import {
  archiveFolder,
  headName,
  parseArchiveName,
  runId,
  segmentName,
  segmentsThrough,
  type SegmentName,
} from "../../../runtime/backup/archive/archive-names.ts";
import { startOfId } from "../../../runtime/backup/manifest.ts";

const RUN = "20261201T031500Z-1a2b3c";

function segment(first: number, last: number, run = RUN): SegmentName {
  const times = { firstMs: first * 1000, lastMs: last * 1000 };
  return { name: segmentName({ run, first, last, ...times }), run, first, last, ...times };
}

test("a name says what its file holds; anything else is no file of an archive", () => {
  expect(runId("2026-12-01T03:15:00.123Z", "1a2b3c")).toBe(RUN);
  expect(parseArchiveName(headName(RUN))).toMatchObject({ kind: "run", run: RUN });
  const startMs = Date.parse("2026-12-01T03:15:00Z");
  const one = segment(7, 120);
  expect(parseArchiveName(one.name)).toEqual({ kind: "segment", startMs, ...one });
  for (const name of ["", "manifest.json", `${one.name}.part`, `${RUN}.seg`, `x${one.name}`]) {
    expect(parseArchiveName(name)).toBeUndefined();
  }
  expect(parseArchiveName(segment(9, 3).name)).toBeUndefined();
  expect(parseArchiveName(headName("20261301T031500Z-1a2b3c"))).toBeUndefined();
});

test("no backup is ever called like an archive, whatever the cluster is called", () => {
  expect(startOfId("a", archiveFolder("a"))).toBeUndefined();
  expect(startOfId("a-archive", archiveFolder("a"))).toBeUndefined();
});

test("blocks follow each other backwards without a hole, each from one file, the larger where there are two", () => {
  const names = (found: readonly SegmentName[]) => found.map(({ first, last }) => [first, last]);
  const files = [segment(1, 1), segment(2, 2), segment(3, 3), segment(1, 2), segment(5, 5)];
  expect(names(segmentsThrough(files, RUN))).toEqual([[5, 5]]);
  expect(names(segmentsThrough(files, RUN, 3))).toEqual([
    [1, 2],
    [3, 3],
  ]);
  expect(segmentsThrough(files, RUN, 4)).toEqual([]);
  expect(segmentsThrough(files, "20261201T031500Z-ffffff")).toEqual([]);
  // The last one is asked for up to the middle of a file.
  expect(names(segmentsThrough([segment(1, 4)], RUN, 2))).toEqual([[1, 4]]);
});

test("however files were joined and small ones left behind, every block comes once", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 10 }))),
      (count, joins) => {
        const files = Array.from({ length: count }, (_, at) => segment(at + 1, at + 1));
        for (const [first, more] of joins) {
          if (first + more <= count) files.push(segment(first, first + more));
        }
        const chain = segmentsThrough(files, RUN);
        expect(chain[0]?.first).toBe(1);
        expect(chain.at(-1)?.last).toBe(count);
        for (const [at, { first }] of chain.entries()) {
          if (at > 0) expect(first).toBeLessThanOrEqual((chain[at - 1]?.last ?? 0) + 1);
        }
      },
    ),
  );
});
