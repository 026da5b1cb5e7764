// verify-backup.ts: reads a whole backup again and compares it with its manifest: digests, CRC-64, keys, partitions.
import { createHash } from "node:crypto";
import { TwineError, type Problem } from "../core/errors.ts";
import { FeedReader } from "../replication/feed-reader.ts";
import { RdbCounts } from "../replication/rdb/rdb-counts.ts";
import { RdbScanner } from "../replication/rdb/rdb-scanner.ts";
import { RespError } from "../resp/limits.ts";
import { decoded } from "./compression.ts";
import { requireIdentity, type Identities } from "./encryption.ts";
import { bytesToCut } from "./manifest.ts";
import type { Manifest, SavedFeed, SavedPartition } from "./manifest.ts";
import type { BackupTarget } from "./targets/target.ts";
import { errorText } from "../core/error-text.ts";

const REMEDY = "restore from another backup or another backup-dir; delete this one (--delete)";

/** A stored file that is not the one of its manifest; the message names it. */
class SavedFileError extends Error {}

/** A file of a backup, and what is inside of it when it is decrypted and decompressed. */
interface Stored {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly inside: {
    readonly what: string;
    readonly bytes: number;
    readonly sha256: string | undefined;
  };
}

type Place = Pick<Manifest, "id" | "compression" | "encryption">;

/** The RDB of one partition as it was taken; rejects when the file is not the one of the manifest, at its end at the latest. */
export function rdbChunks(
  target: Pick<BackupTarget, "read">,
  place: Place,
  saved: SavedPartition,
  options: ReadOptions = {},
): AsyncGenerator<Buffer> {
  const inside = { what: "RDB", bytes: saved.rdbBytes, sha256: saved.rdbSha256 };
  return chunksInside(target, place, { ...saved, inside }, options);
}

/** The change feed behind it; rejects as rdbChunks does. */
export function feedChunks(
  target: Pick<BackupTarget, "read">,
  place: Place,
  feed: SavedFeed,
  options: ReadOptions = {},
): AsyncGenerator<Buffer> {
  const inside = { what: "feed", bytes: feed.feedBytes, sha256: feed.feedSha256 };
  return chunksInside(target, place, { ...feed, inside }, options);
}

async function* chunksInside(
  target: Pick<BackupTarget, "read">,
  { id, compression, encryption }: Place,
  stored: Stored,
  { signal, identities }: ReadOptions,
): AsyncGenerator<Buffer> {
  const { inside, file } = stored;
  // What is stored as it is needs no second digest.
  const isPlain = encryption === undefined && compression === "none";
  const hash = inside.sha256 === undefined || isPlain ? undefined : createHash("sha256");
  let bytes = 0;
  const chunks = storedChunks(target, id, stored, signal);
  const compressed =
    encryption === undefined
      ? chunks
      : requireIdentity(id, encryption.recipients, identities).open(chunks);
  for await (const chunk of ofFile(stored.file, decoded(compressed, compression))) {
    hash?.update(chunk);
    bytes += chunk.length;
    yield chunk;
  }
  const found = isPlain ? stored.sha256 : hash?.digest("hex");
  const isSame = inside.sha256 === undefined || found === inside.sha256;
  if (bytes !== inside.bytes || !isSame) {
    throw new SavedFileError(`${file} holds another ${inside.what} than its manifest says`);
  }
}

/** The same; an error in the middle names the file. */
async function* ofFile(file: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof TwineError || error instanceof SavedFileError) throw error;
    throw new SavedFileError(`${file}: ${errorText(error)}`, { cause: error });
  }
}

/** The file as it lies there, compared with its digest at its end. */
async function* storedChunks(
  target: Pick<BackupTarget, "read">,
  id: string,
  saved: Pick<Stored, "file" | "bytes" | "sha256">,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of target.read(id, saved.file)) {
    signal?.throwIfAborted();
    hash.update(chunk);
    bytes += chunk.length;
    yield chunk;
  }
  if (bytes !== saved.bytes) {
    throw new SavedFileError(
      `${saved.file} has ${bytes} bytes, and its manifest says ${saved.bytes}`,
    );
  }
  const sha256 = hash.digest("hex");
  if (sha256 !== saved.sha256) {
    throw new SavedFileError(
      `${saved.file} has SHA-256 ${sha256}, and its manifest says ${saved.sha256}`,
    );
  }
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Absent: what is encrypted can't be read. */
  readonly identities?: Identities | undefined;
}

/** Of what is encrypted only the digests are compared without `identities`. */
export interface VerifyOptions extends ReadOptions {
  /** Absent: the partitions of keys are not compared. */
  readonly partitionOf?: (key: Uint8Array) => number | Promise<number>;
  readonly onBytes?: (bytes: number) => void;
}

/** Everything that is wrong with it; nothing when it is good. */
export async function verifyBackup(
  target: BackupTarget,
  manifest: Manifest,
  options: VerifyOptions = {},
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const isSealed = manifest.encryption !== undefined && options.identities === undefined;
  for (const saved of manifest.partitions) {
    const { feed } = saved;
    const files = [saved, ...(feed === undefined ? [] : [feed])];
    for (const stored of files) {
      try {
        if (isSealed) await compareDigests(target, manifest.id, stored, options);
        else if (stored === feed) await readToCut(target, manifest, saved, options);
        else {
          const wrong = await differences(target, manifest, saved, options);
          problems.push(
            ...wrong.map((why) => problemWith(target, manifest, `${saved.file} ${why}`)),
          );
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        // Not of the backup: the store does not answer, or the key is another one.
        if (error instanceof TwineError) throw error;
        const why = errorText(error);
        const named = error instanceof SavedFileError ? why : `${stored.file}: ${why}`;
        problems.push(problemWith(target, manifest, named));
      }
    }
  }
  return problems;
}

/** All that can be said without a key. */
async function compareDigests(
  target: BackupTarget,
  id: string,
  stored: Pick<Stored, "file" | "bytes" | "sha256">,
  { signal, onBytes }: VerifyOptions,
): Promise<void> {
  for await (const chunk of storedChunks(target, id, stored, signal)) onBytes?.(chunk.length);
}

function problemWith(target: BackupTarget, { id }: Manifest, why: string): Problem {
  return { code: "BACKUP_BROKEN", message: `${target.name}, ${id}: ${why}`, remedy: REMEDY };
}

async function differences(
  target: BackupTarget,
  manifest: Manifest,
  saved: SavedPartition,
  { signal, identities, partitionOf, onBytes }: VerifyOptions,
): Promise<string[]> {
  const scanner = new RdbScanner();
  const counts = new RdbCounts();
  let misplacedCount = 0;
  for await (const chunk of rdbChunks(target, manifest, saved, { signal, identities })) {
    const pieces = scanner.push(chunk);
    counts.add(pieces);
    for (const piece of pieces) {
      if (partitionOf === undefined || piece.kind !== "entry" || piece.db !== saved.db) continue;
      const owner = partitionOf(piece.key);
      if ((typeof owner === "number" ? owner : await owner) !== saved.partition) misplacedCount++;
    }
    onBytes?.(chunk.length);
  }
  scanner.finish();
  const { keys, keysWithExpiry } = counts.figures();
  const wrong: string[] = [];
  if (keys !== saved.keys || keysWithExpiry !== saved.keysWithExpiry) {
    wrong.push(`holds ${keys} keys, and its manifest says ${saved.keys}`);
  }
  if (partitionOf !== undefined && misplacedCount !== saved.misplaced.count) {
    wrong.push(
      `holds ${misplacedCount} keys of other partitions, and its manifest says ${saved.misplaced.count}`,
    );
  }
  return wrong;
}

export interface ReadFeedOptions extends ReadOptions {
  /** What belongs to the cut, piece by piece. */
  readonly onChunk?: (bytes: Buffer) => Promise<void>;
  /** The name of each command of it. */
  readonly onCommand?: (name: string) => void;
}

/**
 * Reads a partition's feed, if it has one, and what belongs to the cut of it command by command. Rejects when the file is not
 * the one of its manifest, holds no commands, or when the cut lies inside of one or of a transaction.
 */
export async function readToCut(
  target: Pick<BackupTarget, "read">,
  manifest: Manifest,
  saved: SavedPartition,
  { signal, identities, onChunk, onCommand }: ReadFeedOptions,
): Promise<void> {
  const { feed, partition, offset, feedDb } = saved;
  if (feed === undefined) return;
  const { cut } = manifest;
  let left = (cut === undefined ? undefined : bytesToCut(saved, cut, partition)) ?? 0;
  const reader = new FeedReader(offset, feedDb);
  let isBoundary = true;
  // To its end, for the digest is one of all of it.
  for await (const chunk of feedChunks(target, manifest, feed, { signal, identities })) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (part.length === 0) continue;
    try {
      for (const command of reader.push(part)) {
        isBoundary = command.isBoundary;
        onCommand?.(command.name);
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      throw new SavedFileError(`${feed.file} holds what is no command: ${error.message}`);
    }
    await onChunk?.(part);
  }
  if (reader.waitingBytes > 0 || !isBoundary) {
    throw new SavedFileError(`${feed.file}: the cut lies inside of a command or a transaction`);
  }
}
