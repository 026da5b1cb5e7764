import { expect, test } from "vitest";
import {
  backupId,
  parseManifest,
  printManifest,
  startOfId,
  type Manifest,
} from "../../../runtime/backup/manifest.ts";
import { savedText } from "../../../runtime/backup/backup-text.ts";

const MANIFEST: Manifest = {
  format: 1,
  id: "twine-20261130T170405Z-1a2b3c",
  cluster: "twine",
  startedAt: "2026-11-30T17:04:05.123Z",
  endedAt: "2026-11-30T17:04:06.000Z",
  twineVersion: "0.1.0",
  conf: "partitions 1\n",
  hashing: { kind: "builtin", name: "crc32", tag: null, partitions: 1, fingerprint: "0011" },
  compression: "none",
  isConsistent: true,
  partitions: [
    {
      partition: 0,
      db: 0,
      file: "partition-0.rdb",
      bytes: 1_400_000_000,
      sha256: "a".repeat(64),
      rdbBytes: 1_400_000_000,
      rdbSha256: "a".repeat(64),
      magic: "REDIS",
      rdbVersion: 10,
      serverVersion: "7.0.15",
      replicationId: "b".repeat(40),
      offset: 17,
      feedDb: -1,
      node: "a1",
      role: "master",
      takenAt: "2026-11-30T17:04:06.000Z",
      keys: 3,
      keysWithExpiry: 1,
      keysByType: { string: 2, hash: 1 },
      functions: ["lib"],
      misplaced: { count: 1, examples: [Buffer.from("foo").toString("base64")] },
    },
  ],
};

test("what is printed is read back as the same", () => {
  expect(parseManifest(printManifest(MANIFEST))).toEqual({ kind: "parsed", value: MANIFEST });
});

/** The manifest with something else at a path such as partitions.0.file. */
function changed(path: string, value: unknown): string {
  const copy = JSON.parse(printManifest(MANIFEST)) as Record<string, unknown>;
  const steps = path.split(".");
  const last = steps.pop() ?? "";
  const place = steps.reduce((at, step) => at[step] as Record<string, unknown>, copy);
  place[last] = value;
  return JSON.stringify(copy);
}

test.each([
  ["format", 2, /its format is 2, and this version of Twine reads up to 1/],
  ["id", "../elsewhere", /id is not the name of a file/],
  ["partitions.0.file", "/etc/passwd", /partitions\[0\]\.file is not the name of a file/],
  ["partitions.0.file", "..", /partitions\[0\]\.file is not/],
  ["partitions.0.bytes", -1, /partitions\[0\]\.bytes is not a whole number/],
  ["partitions.0.sha256", "x", /partitions\[0\]\.sha256 is no SHA-256/],
  ["partitions.0.partition", 1, /partitions\[0\] is not partition 0/],
  ["partitions", [], /it holds 0 partitions of 1/],
  ["hashing", null, /hashing is not an object/],
  ["compression", "gzip", /compression is not one of none, zstd/],
])("%s: %j is refused with what is wrong", (path, value, why) => {
  expect(parseManifest(changed(path, value))).toMatchObject({
    kind: "malformed",
    why: expect.stringMatching(why) as string,
  });
});

test("what is no JSON, or empty, is refused", () => {
  for (const text of ["", "{", "null", "[]"]) expect(parseManifest(text).kind).toBe("malformed");
});

test("a backup's name tells its cluster and its time; others' names are nobody's", () => {
  const id = backupId("my.cluster-2", "2026-11-30T17:04:05.123Z", "a2c");
  expect(id).toBe("my.cluster-2-20261130T170405Z-07ba2c");
  expect(startOfId("my.cluster-2", id)).toBe(Date.parse("2026-11-30T17:04:05Z"));
  for (const other of ["my.cluster", "twine", "my.cluster-2-"]) {
    expect(startOfId(other, id)).toBeUndefined();
  }
  for (const name of ["twine-20261130T170405Z", "twine-99999999T170405Z-1a2b3c", "twine-x"]) {
    expect(startOfId("twine", name)).toBeUndefined();
  }
});

test("the result says what somebody should know: taken from a master, misplaced keys", () => {
  expect(savedText(MANIFEST, ["backups", "/mnt/b"])).toBe(
    "twine-20261130T170405Z-1a2b3c: 3 keys of 1 partition, 1.4 GB, in backups, /mnt/b\n" +
      "partition 0 was taken from its master a1: no replica in sync gave its data\n" +
      'partition 0 holds 1 keys whose hash names another partition, such as "foo"\n',
  );
});

/** Of one partition, whose cut lies `bytes` behind its RDB, of 10 bytes of feed. */
function cutAt(bytes: number, replicationId = "c".repeat(40)): string {
  const feed = {
    ...{ file: "partition-0.feed", bytes: 10, sha256: "d".repeat(64), feedBytes: 10 },
    ...{ feedSha256: "d".repeat(64), replicationId: "c".repeat(40) },
  };
  const marks = [{ master: "a1", replicationId, offset: 17 + bytes }];
  const cut = { at: "2026-11-30T17:04:06.000Z", pausedMs: 3.2, marks };
  return printManifest({
    ...MANIFEST,
    cut,
    partitions: MANIFEST.partitions.map((saved) => ({ ...saved, feed })),
  });
}

test("a cut lies within the feed of each partition, on the history of its end", () => {
  for (const bytes of [0, 10]) {
    const parsed = parseManifest(cutAt(bytes));
    if (parsed.kind !== "parsed") throw new Error(parsed.why);
    expect(parsed.value.cut?.marks[0]?.offset).toBe(17 + bytes);
    expect(savedText(parsed.value, ["one"])).toContain(
      "one moment of all partitions: 2026-11-30T17:04:06.000Z; writes waited 4 ms for it",
    );
  }
  const why = "the feed of partition 0 does not hold its cut";
  const withoutMarks = JSON.parse(cutAt(0)) as { cut: { marks: unknown[] } };
  withoutMarks.cut.marks = [];
  const cases = [cutAt(-1), cutAt(11), cutAt(5, "e".repeat(40)), JSON.stringify(withoutMarks)];
  for (const json of cases) expect(parseManifest(json)).toEqual({ kind: "malformed", why });
  const inOneFile = cutAt(0).replace("partition-0.feed", "partition-0.rdb");
  expect(parseManifest(inOneFile)).toEqual({
    ...{ kind: "malformed", why: "two parts of it lie in one file" },
  });
});
