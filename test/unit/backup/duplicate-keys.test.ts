import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { KeyHashes, requireNoneTwice } from "../../../runtime/backup/restore/duplicate-keys.ts";
import { prepareRdbs } from "../../../runtime/backup/restore/prepare.ts";
import { privateFiles } from "../../../runtime/backup/restore/private-files.ts";
import { builtinHashing } from "../../../runtime/core/hashing.ts";
import { builtinPartition } from "../../../runtime/core/hash/partition-function.ts";
import type { Settings } from "../../../runtime/core/cluster.ts";
import { systemClock } from "../../../runtime/ports/clock.ts";
import { lengthOf, RdbWriter } from "../../../runtime/replication/rdb/rdb-writer.ts";

const text = (value: string): Buffer =>
  Buffer.concat([lengthOf(Buffer.byteLength(value)), Buffer.from(value)]);

/** An RDB with these keys; `[db, key]`. */
function rdbOf(keys: readonly (readonly [number, string])[]): Buffer {
  const writer = new RdbWriter({ magic: "REDIS", version: 10 });
  for (const [db, key] of keys) {
    writer.select(db);
    writer.add(Buffer.concat([Buffer.from([0]), text(key), text("v")]));
  }
  return writer.end();
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "twine-twice-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Prepares these files for two partitions whose keys lie in db 3. */
async function prepared(...files: readonly (readonly (readonly [number, string])[])[]) {
  const folder = await newFolder();
  const paths = await Promise.all(
    files.map(async (keys, at) => {
      const path = join(folder, `file-${at}.rdb`);
      await writeFile(path, rdbOf(keys));
      return path;
    }),
  );
  const hash = { kind: "builtin", name: "crc32" } as const;
  const settings = { hash, partitions: 2 } as unknown as Settings;
  const out = await newFolder();
  const report = await prepareRdbs(
    paths.map((path) => ({ name: path, path })),
    {
      folder: out,
      files: privateFiles,
      hashing: builtinHashing(settings),
      partitionOf: builtinPartition("crc32", 2, undefined),
      dbOf: () => 3,
      signal: new AbortController().signal,
      clock: systemClock,
    },
  );
  expect((await readdir(out)).filter((name) => name.startsWith("keys-"))).toEqual([]);
  return report.partitions.reduce((sum, { keys }) => sum + keys, 0);
}

const many = (name: string, count: number): [number, string][] =>
  Array.from({ length: count }, (_, at) => [0, `${name}:${at}`]);

test("files that share no key are prepared, and the same key may lie in several databases", async () => {
  expect(await prepared(many("a", 5000), many("b", 5000), [[1, "a:7"]])).toBe(10_001);
});

test("a key in two files is found before any node is touched; the error names both files and the key", async () => {
  await expect(prepared(many("a", 3000), many("b", 3000), [[0, "b:2999"]])).rejects.toMatchObject({
    problems: [
      {
        code: "KEY_TWICE",
        message: expect.stringMatching(
          /file-1\.rdb and \S+file-2\.rdb both hold the key 'b:2999'/,
        ) as string,
      },
    ],
  });
});

test("a key that comes into the cluster's database from two others is found, as is one twice in a file", async () => {
  // Database 0 becomes database 3, and database 3 keeps its number.
  await expect(prepared([[0, "x"]], [[3, "x"]])).rejects.toThrow("both hold the key 'x'");
  await expect(
    prepared([
      [0, "y"],
      [0, "y"],
    ]),
  ).rejects.toThrow(/file-0\.rdb holds the key 'y' twice/);
});

test("keys whose hashes are equal by chance are told apart by reading them", async () => {
  const hashes = new KeyHashes(await newFolder(), privateFiles);
  await hashes.open();
  // As if the second had the first one's hash.
  hashes.add(0, Buffer.from("one"));
  hashes.add(0, Buffer.from("one"));
  async function* chunked(bytes: Buffer): AsyncGenerator<Buffer> {
    yield await Promise.resolve(bytes);
  }
  const sources = ["one", "two"].map((key) => ({
    name: key,
    chunks: () => chunked(rdbOf([[0, key]])),
  }));
  await requireNoneTwice(hashes, sources, (db) => db);
  await hashes.remove();
});
