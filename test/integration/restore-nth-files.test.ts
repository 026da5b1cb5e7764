// The files of any redis-server as what is to be restored (--rdb, --aof), in which the n-th thing fails, for each n: a read of the
// given file, a write into the private folder or a read there, the connection to the redis-server that loads an append only
// file. Each error names the file and says what to do; nothing is asked of the cluster before all of this is done.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { prepareFiles, type FilesOfRedis } from "../../runtime/backup/restore/prepare-files.ts";
import { privateFiles, type PrivateFiles } from "../../runtime/backup/restore/private-files.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { chunksOf, type ReadChunks } from "../../runtime/replication/aof/examine-aof.ts";
import { eachNth, failingFiles, Nth, stepwise } from "../support/nth-fault.ts";
import { startRedis } from "../support/redis-server.ts";

const NOTHING: FilesOfRedis = { rdb: [], aof: [], allowTruncated: false };
/** More than a socket takes at once. */
const VALUES = 6;

let home: string;
let rdb: string;
let aof: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "twine-nth-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const server = await startRedis(["appendonly yes", "auto-aof-rewrite-percentage 0"]);
  const link = await server.link();
  for (let at = 0; at < VALUES; at++) {
    await link.call("SET", `key:${at}`, randomBytes(500_000).toString("base64"));
  }
  await link.call("SAVE");
  await server.kill();
  [rdb, aof] = [join(server.folder, "dump.rdb"), join(server.folder, "appendonlydir")];
});

let places = 0;

/** What it threw, or undefined. */
async function prepared(
  what: Partial<FilesOfRedis>,
  files: PrivateFiles = privateFiles,
): Promise<unknown> {
  const folder = join(home, String(places++));
  await mkdir(folder);
  const options = {
    ...{ folder, files, clock, dbOf: () => 0, signal: new AbortController().signal },
    hashing: builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions: 2 }),
    partitionOf: (key: Uint8Array) => crc32(key) % 2,
  };
  try {
    const { partitions } = await prepareFiles({ ...NOTHING, ...what }, options);
    expect(partitions.reduce((sum, { keys }) => sum + keys, 0)).toBe(VALUES);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    // A server that loads is gone with its folder.
    expect(readdirSync(folder).filter((name) => name.startsWith("twine-aof-"))).toEqual([]);
    await rm(folder, { recursive: true });
  }
}

function requireClear(error: unknown, what: string, code: string, names: RegExp): void {
  expect([what, error]).toEqual([what, expect.any(TwineError)]);
  if (!(error instanceof TwineError)) return;
  const [problem] = error.problems;
  expect([what, problem]).toEqual([
    what,
    expect.objectContaining({
      code,
      message: expect.stringMatching(names) as string,
      remedy: expect.stringMatching(/^nothing was restored; .*restore again/) as string,
    }),
  ]);
}

/** Reads of that file alone fail. */
const failingReads = (nth: Nth, isMeant: (path: string) => boolean): PrivateFiles => ({
  ...privateFiles,
  read: (path, signal) => {
    const chunks = privateFiles.read(path, signal);
    return isMeant(path) ? stepwise(chunks, nth) : chunks;
  },
});

test("whichever read of a given RDB fails: the error names it, and blames neither its content nor the private folder", async () => {
  const count = await eachNth(async (nth, n) => {
    const error = await prepared(
      { rdb: [rdb] },
      failingReads(nth, (path) => path === rdb),
    );
    const what = `read ${n}`;
    if (nth.isReached) requireClear(error, what, "FILE_UNREADABLE", /dump\.rdb: EIO/);
    else expect([what, error]).toEqual([what, undefined]);
  });
  // Its first bytes, then all of it.
  expect(count).toBeGreaterThan(15);
}, 120_000);

test("an RDB and an append only file that are not there, or that this user may not read, are named", async () => {
  for (const what of [{ rdb: [join(home, "none.rdb")] }, { rdb: [home] }]) {
    requireClear(
      await prepared(what),
      JSON.stringify(what),
      "FILE_UNREADABLE",
      /none\.rdb|twine-nth/,
    );
  }
  // Root may read everything.
  if (process.getuid?.() === 0) return;
  for (const name of readdirSync(aof)) chmodSync(join(aof, name), 0);
  requireClear(await prepared({ aof: [aof] }), "no rights", "FILE_UNREADABLE", /appendonly/);
});

test("whichever read of a given append only file fails: the error names the file", async () => {
  const count = await eachNth(async (nth, n) => {
    const readAof: ReadChunks = function* (file, from, to) {
      nth.step("open");
      for (const chunk of chunksOf(file, from, to)) {
        nth.step("read");
        yield chunk;
      }
    };
    const error = await prepared({ aof: [aof], readAof });
    const what = `read ${n}`;
    if (nth.isReached) requireClear(error, what, "FILE_UNREADABLE", /\.(rdb|aof): EIO/);
    else expect([what, error]).toEqual([what, undefined]);
  });
  // It is read through, and copied.
  expect(count).toBeGreaterThan(8);
}, 120_000);

test("whichever write into the private folder, or read there, fails with an append only file: the error names the file", async () => {
  // The copy that the server loads, then its RDB: what comes behind is the splitter's (restore-nth.test.ts).
  for (let n = 1; n <= 16; n++) {
    const nth = new Nth(n);
    const error = await prepared({ aof: [aof] }, failingFiles(nth));
    requireClear(error, `write ${n}: ${nth.what}`, "PRIVATE_FOLDER_FAILED", /\/\S+: ENOSPC/);
  }
  const count = await eachNth(async (nth, n) => {
    const isItsRdb = (path: string): boolean => path.endsWith("aof-0.rdb");
    const error = await prepared({ aof: [aof] }, failingReads(nth, isItsRdb));
    const what = `private read ${n}`;
    if (nth.isReached) requireClear(error, what, "PRIVATE_FOLDER_FAILED", /aof-0\.rdb: EIO/);
    else expect([what, error]).toEqual([what, undefined]);
  });
  expect(count).toBeGreaterThan(15);
}, 240_000);

/** kill -9 of the redis-server that works in this test's folder. */
function killScratchServer(): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const file = `/proc/${pid}/cmdline`;
    if (!existsSync(file)) continue;
    const words = readFileSync(file, "utf8");
    if (words.startsWith("redis-server") && words.includes(home))
      process.kill(Number(pid), "SIGKILL");
  }
}

test("the server that loads an append only file dies while it gives its RDB: the error names the file and the machine", async () => {
  const files: PrivateFiles = {
    ...privateFiles,
    create: async (path) => {
      const file = await privateFiles.create(path);
      if (!path.endsWith("aof-0.rdb")) return file;
      return {
        ...file,
        write: async (bytes) => {
          killScratchServer();
          await file.write(bytes);
        },
      };
    },
  };
  requireClear(await prepared({ aof: [aof] }, files), "dies", "SCRATCH_FAILED", /appendonlydir/);
}, 60_000);
