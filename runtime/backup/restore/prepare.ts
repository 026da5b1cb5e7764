// prepare.ts: what is to be restored, as one whole and checked RDB file per partition in a folder of its own.
//
//   a backup of the same layout      --copied, digests and CRC-64 checked-->  partition-N.rdb
//   another layout, or plain RDBs    --through the splitter-->                partition-N.rdb
//   a backup with a cut              --RDB and feed in a server of our own-->  an RDB of the cut, which goes either way
//
// Nothing in the cluster is touched before every file is there and good.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { TwineError } from "../../core/errors.ts";
import { isSameHashing, type Hashing } from "../../core/hashing.ts";
import { RdbCounts } from "../../replication/rdb/rdb-counts.ts";
import { RdbError } from "../../replication/rdb/rdb-error.ts";
import { RdbScanner } from "../../replication/rdb/rdb-scanner.ts";
import {
  splitRdbs,
  type SplitReport,
  type SplitSource,
} from "../../replication/rdb/rdb-splitter.ts";
import type { RdbFormat } from "../../replication/rdb/rdb-writer.ts";
import type { Clock } from "../../ports/clock.ts";
import { requireIdentity, type Identities } from "../encryption.ts";
import { bytesToCut, type Manifest, type SavedPartition } from "../manifest.ts";
import type { BackupTarget } from "../targets/target.ts";
import { rdbChunks, readToCut } from "../verify-backup.ts";
import type { CutOff } from "./aof-rdb.ts";
import type { MomentFound } from "./chosen-source.ts";
import { KeyHashes, requireNoneTwice } from "./duplicate-keys.ts";
import { playToCut, type ReadFeed } from "./play-to-cut.ts";
import { explained, readGiven, type PrivateFile, type PrivateFiles } from "./private-files.ts";
import { errorText } from "../../core/error-text.ts";
import { mark } from "../../ports/timeline.ts";

export interface PreparedPartition {
  readonly partition: number;
  readonly path: string;
  readonly bytes: number;
  readonly keys: number;
  readonly keysWithExpiry: number;
}

export interface Prepared {
  readonly format: RdbFormat;
  readonly partitions: readonly PreparedPartition[];
  /** Of the splitter; undefined when the files are the backup's own, byte by byte. */
  readonly split: SplitReport | undefined;
  /** Keys whose time has passed: they vanish when they are served. */
  readonly expired: number;
  /** Which moment of the archive it is. */
  readonly moment?: MomentFound | undefined;
  /** The backup that was chosen, and its moment, ISO 8601. Absent: other files. */
  readonly backup?: { readonly id: string; readonly at: string };
  /** Append only files that ended in the middle of a command. */
  readonly cutOff?: readonly CutOff[];
}

export interface PrepareOptions {
  /** Private and empty. */
  readonly folder: string;
  /** Of that folder. */
  readonly files: PrivateFiles;
  /** The cluster's. */
  readonly hashing: Hashing;
  partitionOf(key: Uint8Array): number | Promise<number>;
  /** The database that holds the cluster's keys of a partition. */
  readonly dbOf: (partition: number) => number;
  /** Of the backup's own function, where it can be asked. */
  readonly sourcePartitionOf?: ((key: Uint8Array) => number | Promise<number>) | undefined;
  /** Absent: a backup that is encrypted can't be restored. */
  readonly identities?: Identities | undefined;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly shiftExpiryMs?: number;
  /** Of a moment in the archive: what comes behind each RDB. */
  readonly readFeed?: ReadFeed | undefined;
  readonly onBytes?: (bytes: number) => void;
}

/** Throws BACKUP_BROKEN, IDENTITY_NEEDED, IDENTITY_WRONG, RESTORE_MISPLACED, FUNCTION_CONFLICT, KEY_TWICE, PLAY_FAILED, SCRATCH_FAILED, PRIVATE_FOLDER_FAILED. */
export async function prepareBackup(
  target: BackupTarget,
  manifest: Manifest,
  options: PrepareOptions,
): Promise<Prepared> {
  const { partitions, hashing, encryption } = manifest;
  // Before anything is copied or a server started.
  if (encryption !== undefined) {
    requireIdentity(manifest.id, encryption.recipients, options.identities);
  }
  const isSame =
    isSameHashing(hashing, options.hashing) &&
    (options.shiftExpiryMs ?? 0) === 0 &&
    partitions.every(({ partition, db }) => db === options.dbOf(partition));
  const sourceOf = (
    saved: SavedPartition,
    chunks: () => AsyncIterable<Buffer>,
  ): PartitionSource => ({
    ...{ name: `${manifest.id}/${saved.file}`, db: saved.db, chunks, partition: saved.partition },
    ...ownsBy(options.sourcePartitionOf, saved.partition),
  });
  const prepare = (sources: ReturnType<typeof sourceOf>[]): Promise<Prepared> =>
    isSame ? copyAll(sources, options) : splitAll(sources, options);
  try {
    if (!isSame) requireOwnersKnown(manifest, options);
    const played = await playAll(target, manifest, options);
    mark("check");
    const prepared = await prepare(
      partitions.map((saved, at) =>
        sourceOf(saved, () => {
          const path = played[at];
          return path === undefined
            ? rdbChunks(target, manifest, saved, options)
            : explained(options.files).read(path, options.signal);
        }),
      ),
    );
    for (const path of played) if (path !== undefined) await rm(path);
    return prepared;
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof TwineError) throw error;
    const why = errorText(error);
    throw new TwineError(
      {
        code: "BACKUP_BROKEN",
        message: `${target.name}, ${manifest.id}: ${why}`,
        remedy: "nothing was restored; restore from another backup or another backup-dir",
      },
      { cause: error },
    );
  }
}

/**
 * By partition the path of its RDB at the cut; undefined where the backup's own RDB is of that moment, because nothing was
 * written until then. One after the other: each is held in memory by the server that runs it.
 */
async function playAll(
  target: BackupTarget,
  manifest: Manifest,
  options: PrepareOptions,
): Promise<readonly (string | undefined)[]> {
  const paths: (string | undefined)[] = [];
  const { cut } = manifest;
  for (const saved of manifest.partitions) {
    const isThere =
      options.readFeed === undefined &&
      (cut === undefined || (await isAtCut(target, manifest, saved, options)));
    if (!isThere) mark(`play partition ${saved.partition} to its cut`);
    paths.push(isThere ? undefined : await playToCut(target, manifest, saved, options));
  }
  return paths;
}

/** What a master sends its replicas without a write: signs of life, questions, messages. */
const NO_WRITES = new Set(["PING", "REPLCONF", "SELECT", "PUBLISH", "SPUBLISH"]);
/** A feed that is longer to its cut holds writes, or is played as if it did. */
const QUIET_BYTES_MAX = 64 * 1024;

/** Whether nothing was written between a partition's RDB and its cut. The feed's digest is compared by who reads it. */
async function isAtCut(
  target: BackupTarget,
  manifest: Manifest,
  saved: SavedPartition,
  options: PrepareOptions,
): Promise<boolean> {
  const { cut } = manifest;
  const bytes = cut === undefined ? 0 : bytesToCut(saved, cut, saved.partition);
  if (bytes === undefined || bytes > QUIET_BYTES_MAX) return false;
  let isQuiet = true;
  const onCommand = (name: string): void => {
    isQuiet &&= NO_WRITES.has(name);
  };
  await readToCut(target, manifest, saved, { ...options, onCommand });
  return isQuiet;
}

export interface PlainRdb {
  /** What people know it by. */
  readonly name: string;
  readonly path: string;
  /** It lies in the private folder. */
  readonly isOwn?: boolean;
}

/** RDB files of any origin. Throws RDB_BROKEN and FILE_UNREADABLE with the file's name, FUNCTION_CONFLICT, KEY_TWICE, PRIVATE_FOLDER_FAILED. */
export async function prepareRdbs(
  files: readonly PlainRdb[],
  options: PrepareOptions,
): Promise<Prepared> {
  const sources = files.map(({ name, path, isOwn = false }) => ({
    name,
    db: undefined,
    chunks: (): AsyncIterable<Buffer> =>
      isOwn
        ? explained(options.files).read(path, options.signal)
        : readGiven(options.files, path, options.signal),
  }));
  try {
    return await splitAll(sources, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof TwineError) throw error;
    const why = errorText(error);
    const remedy =
      error instanceof RdbError && error.kind === "version"
        ? "nothing was restored; use a version of Twine that knows this format"
        : "nothing was restored; use a whole RDB file";
    throw new TwineError({ code: "RDB_BROKEN", message: why, remedy }, { cause: error });
  }
}

function ownsBy(
  partitionOf: PrepareOptions["sourcePartitionOf"],
  partition: number,
): Pick<SplitSource, "owns"> {
  if (partitionOf === undefined) return {};
  return {
    owns: (key) => {
      const owner = partitionOf(key);
      return typeof owner === "number"
        ? owner === partition
        : owner.then((found) => found === partition);
    },
  };
}

/** Keys that lay in the wrong partition may come twice; without the old function nobody knows which is the true one. */
function requireOwnersKnown({ id, partitions, hashing }: Manifest, options: PrepareOptions): void {
  const count = partitions.reduce((sum, { misplaced }) => sum + misplaced.count, 0);
  if (count === 0 || options.sourcePartitionOf !== undefined) return;
  throw new TwineError({
    code: "RESTORE_MISPLACED",
    message: `${id} contains ${count} keys in the wrong partition, and its partition function ${hashing.name} was not found on this machine`,
    remedy:
      "copy the file of that function to the path that hash has in the twine.conf of the backup (see its manifest.json); a relative path starts at this cluster's twine.conf",
  });
}

/** One partition of a backup. */
type PartitionSource = SplitSource & { readonly db: number; readonly partition: number };

async function copyAll(
  sources: readonly PartitionSource[],
  { folder, files, clock, onBytes }: PrepareOptions,
): Promise<Prepared> {
  const nowMs = Date.parse(clock.wallTime());
  let expired = 0;
  const partitions: PreparedPartition[] = [];
  const formats: RdbFormat[] = [];
  for (const source of sources) {
    const { partition } = source;
    const path = fileOf(folder, partition);
    const [scanner, counts] = [new RdbScanner(), new RdbCounts(nowMs)];
    const file = await explained(files).create(path);
    try {
      for await (const chunk of source.chunks()) {
        counts.add(scanner.push(chunk));
        await file.write(chunk);
        onBytes?.(chunk.length);
      }
      scanner.finish();
    } catch (error) {
      if (error instanceof RdbError) error.message = `${source.name}: ${error.message}`;
      throw error;
    } finally {
      await file.close();
    }
    const { bytes, keys, keysWithExpiry, keysExpired, magic, version } = counts.figures();
    expired += keysExpired;
    partitions.push({ partition, path, bytes, keys, keysWithExpiry });
    formats.push({ magic, version });
  }
  return { format: newestOf(formats), partitions, split: undefined, expired };
}

async function splitAll(
  sources: readonly (SplitSource & { readonly db: number | undefined })[],
  options: PrepareOptions,
): Promise<Prepared> {
  const { folder, hashing, dbOf, shiftExpiryMs = 0 } = options;
  const formats: RdbFormat[] = [];
  for (const source of sources) formats.push(await formatOf(source));
  const format = newestOf(formats);
  const paths = Array.from({ length: hashing.partitions }, (_, index) => fileOf(folder, index));
  const own = explained(options.files);
  const files: PrivateFile[] = [];
  const sizes = paths.map(() => 0);
  // A backup's keys lie in the database of their partition's nodes; plain files keep theirs, but that 0 is the cluster's.
  const sourceDbs = new Set(sources.map(({ db }) => db ?? 0));
  const targetDb = (db: number, output: number): number => (sourceDbs.has(db) ? dbOf(output) : db);
  const hashes = new KeyHashes(folder, own);
  try {
    for (const path of paths) files.push(await own.create(path));
    await hashes.open();
    const report = await splitRdbs(sources, {
      format,
      outputs: files.map((file, index) => ({
        write: async (bytes) => {
          await file.write(bytes);
          sizes[index] = (sizes[index] ?? 0) + bytes.length;
          options.onBytes?.(bytes.length);
        },
      })),
      partitionOf: (key) => options.partitionOf(key),
      dbOf: targetDb,
      nowMs: Date.parse(options.clock.wallTime()),
      onKey: (db, key) => {
        hashes.add(db, key);
      },
      shiftExpiryMs,
    });
    requireNoConflict(report);
    await requireNoneTwice(hashes, sources, async (db, key) =>
      targetDb(db, await options.partitionOf(key)),
    );
    const partitions = paths.map((path, partition) => ({
      ...{ partition, path, bytes: sizes[partition] ?? 0 },
      keys: report.keys[partition] ?? 0,
      keysWithExpiry: report.keysWithExpiry[partition] ?? 0,
    }));
    return { format, partitions, split: report, expired: report.expired };
  } finally {
    await hashes.remove();
    await Promise.all(files.map((file) => file.close()));
  }
}

function requireNoConflict({ functionConflicts }: SplitReport): void {
  if (functionConflicts.length === 0) return;
  throw new TwineError({
    code: "FUNCTION_CONFLICT",
    message: `the libraries of functions ${functionConflicts.join(", ")} differ between the files`,
    remedy:
      "nothing was restored; load the same libraries everywhere and save again, or restore one file alone",
  });
}

/** What the first bytes say. */
async function formatOf(source: SplitSource): Promise<RdbFormat> {
  const scanner = new RdbScanner();
  try {
    for await (const chunk of source.chunks()) {
      const [first] = scanner.push(chunk.subarray(0, 16));
      if (first?.kind === "magic") return { magic: first.magic, version: first.version };
    }
    scanner.finish();
  } catch (error) {
    if (error instanceof Error && !(error instanceof TwineError)) {
      error.message = `${source.name}: ${error.message}`;
    }
    throw error;
  }
  throw new RdbError("not-rdb", `${source.name} has no beginning`, 0);
}

function newestOf(formats: readonly RdbFormat[]): RdbFormat {
  const magics = new Set(formats.map(({ magic }) => magic));
  if (magics.size > 1) {
    throw new TwineError({
      code: "RDB_MIXED",
      message:
        "some of the files are of Redis and some of Valkey 9, and no server loads both in one",
      remedy: "restore them one after the other, or from one kind of server",
    });
  }
  return formats.reduce((best, format) => (format.version > best.version ? format : best));
}

function fileOf(folder: string, partition: number): string {
  return join(folder, `partition-${partition}.rdb`);
}
