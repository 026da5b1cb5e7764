// A restore that reads from a bucket of a real S3 server, in which the n-th connection, or the n-th answer after so many bytes,
// breaks, for each n: once, and the restore goes on behind the last byte; and from there on for good, and the error names the
// bucket and what to do, and no node was asked.
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { parseManifest, type Manifest } from "../../runtime/backup/manifest.ts";
import { prepareBackup } from "../../runtime/backup/restore/prepare.ts";
import { privateFiles } from "../../runtime/backup/restore/private-files.ts";
import { takeBackup } from "../../runtime/backup/take-backup.ts";
import type { S3Limits } from "../../runtime/backup/targets/s3-client.ts";
import { s3Target } from "../../runtime/backup/targets/s3-target.ts";
import type { BackupTarget } from "../../runtime/backup/targets/target.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import { badPort, type BadPort } from "../support/bad-port.ts";
import { startRedis } from "../support/redis-server.ts";
import { pythonWithS3, startS3, useS3, type S3Server } from "../support/s3-server.ts";

const python = pythonWithS3() ?? "";
const hashing = builtinHashing({ hash: { kind: "builtin", name: "crc32" }, partitions: 1 });
const LIMITS: S3Limits = {
  ...{ firstAnswerMsMax: 30_000, requestMsMax: 30_000, partMsMax: 25_000, stalledMsMax: 25_000 },
};
const KEYS = 40;
const MB = 1024 * 1024;

let home: string;
let server: S3Server;
let door: BadPort;
let places = 0;

function bucket(limits = LIMITS): BackupTarget {
  return s3Target({
    ...{ name: "s3://backups/twine", place: { bucket: "backups", prefix: "twine" } },
    ...{
      cluster: "test",
      clock,
      owner: { host: "here", pid: process.pid },
      env: process.env,
      limits,
    },
  });
}

beforeEach(async () => {
  if (python === "") return;
  home = await mkdtemp(join(tmpdir(), "twine-nth-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  server = await startS3(python, ["backups"]);
  door = await badPort(server.port);
  const redis = await startRedis(["repl-diskless-sync-delay 0"]);
  const link = await redis.link();
  for (let at = 0; at < KEYS; at++) {
    await link.call("SET", `key:${at}`, randomBytes(100_000).toString("base64"));
  }
  const node = { name: "a1", kind: "data", partition: 0, role: "master", inSync: true } as const;
  const at = { host: "localhost", port: redis.port, db: 0, since: "", runId: null };
  const partition = { index: 0, master: "a1", replicas: [], dead: [], needs: null };
  await takeBackup({
    ...{ cluster: "test", conf: "partitions 1\n", hashing, targets: [bucket()] },
    view: {
      nodes: [{ ...node, ...at }],
      partitions: [{ ...partition, replicationId: null, lastMaster: "a1" }],
    },
    ...{ keep: { kind: "last", count: 24 }, compression: "none", twineVersion: "0" },
    ...{ suffix: "001", openStream: openRdbStream, credentials: undefined },
    ...{ signal: new AbortController().signal, clock, partitionOf: () => 0 },
  });
  useS3(door.url);
});

/** As twine-restore does it before it asks a node: finds the backup, and copies and checks its files. */
async function prepared(limits = LIMITS): Promise<{ readonly keys: number; readonly rdb: Buffer }> {
  const folder = join(home, String(places++));
  await mkdir(folder);
  const target = bucket(limits);
  const manifest = manifestIn(await target.list());
  const { partitions } = await prepareBackup(target, manifest, {
    ...{ folder, files: privateFiles, clock, hashing, dbOf: () => 0, partitionOf: () => 0 },
    signal: new AbortController().signal,
  });
  const [only] = partitions;
  return { keys: only?.keys ?? 0, rdb: await readFile(only?.path ?? "") };
}

function manifestIn(listed: readonly { readonly manifest: string }[]): Manifest {
  const parsed = parseManifest(listed[0]?.manifest ?? "");
  if (parsed.kind !== "parsed") throw new Error(parsed.why);
  return parsed.value;
}

describe.skipIf(python === "")("a restore from a bucket", () => {
  test("goes on wherever one answer breaks: at the list, the manifest, the beginning and each MB of the data", async () => {
    const { rdb } = await prepared();
    expect(rdb.length).toBeGreaterThan(5 * MB);
    // The first bytes are those of the list, the next ones of the manifest: each connection counts its own.
    const places = [1, 200, 600, 1200, 5000, ...[1, 2, 3, 4, 5].map((at) => at * MB)];
    for (const [at, bytes] of places.entries()) {
      door.cutAfter("down", bytes, 1);
      const found = await prepared();
      expect([bytes, door.cuts()]).toEqual([bytes, at + 1]);
      expect([bytes, found.keys, found.rdb.equals(rdb)]).toEqual([bytes, KEYS, true]);
    }
  }, 120_000);

  test("goes on where every answer breaks after a MB", async () => {
    const { rdb } = await prepared();
    door.cutAfter("down", MB, Infinity);
    expect((await prepared()).rdb.equals(rdb)).toBe(true);
    expect(door.cuts()).toBeGreaterThan(4);
  }, 120_000);

  test("goes on wherever one request is lost on its way", async () => {
    const { rdb } = await prepared();
    for (const [at, start] of [
      /^GET \S*list-type/,
      /^GET \S*manifest/,
      /^GET \S*\.rdb/,
    ].entries()) {
      door.loseAnswerTo(start);
      expect((await prepared()).rdb.equals(rdb)).toBe(true);
      expect([String(start), door.cuts()]).toEqual([String(start), at + 1]);
    }
  }, 120_000);

  test.each([1, 600, 5000])(
    "is refused with the bucket and the remedy when no answer gets further than %i bytes",
    async (bytes) => {
      door.cutAfter("down", bytes, Infinity);
      const error: unknown = await prepared({
        ...LIMITS,
        ...{ firstAnswerMsMax: 3000, requestMsMax: 3000 },
      }).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TwineError);
      const [problem] = (error as TwineError).problems;
      expect(problem?.message).toMatch(/^s3:\/\/backups\/twine: bucket backups: /);
      expect(problem?.remedy).toMatch(/see that the store (runs and can be reached|is up)/);
    },
    120_000,
  );

  test("is refused when the store dies in the middle of the data", async () => {
    door.cutAfter("down", 2 * MB, 1);
    const limits = { ...LIMITS, requestMsMax: 2000 };
    const restoring = prepared(limits).catch((reason: unknown) => reason);
    while (door.cuts() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await server.kill();
    const error = await restoring;
    expect(error).toBeInstanceOf(TwineError);
    const [problem] = (error as TwineError).problems;
    expect(problem?.message).toMatch(/^s3:\/\/backups\/twine: bucket backups: /);
  }, 60_000);
});
