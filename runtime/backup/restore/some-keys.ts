// some-keys.ts: single keys out of prepared RDBs, without touching anything else: into an RDB file, or back into the running
// cluster under names of their own.
//
//   prepared partition-N.rdb --> keys that fit the pattern --> FILE, one RDB        (any server loads it, twine-restore --rdb too)
//                                                         \-> RESTORE PREFIX+key   (never replaces a key that exists)
import { createReadStream } from "node:fs";
import { open, rm } from "node:fs/promises";
import { TwineError } from "../../core/errors.ts";
import { matchesGlob } from "../../core/glob.ts";
import { Crc64 } from "../../replication/rdb/crc64.ts";
import { RdbScanner, type RdbEntry } from "../../replication/rdb/rdb-scanner.ts";
import { RdbWriter } from "../../replication/rdb/rdb-writer.ts";
import type { RespValue } from "../../resp/value.ts";
import type { Prepared } from "./prepare.ts";

/** A key that fits: first its entry, then perhaps more of its value. */
type Piece =
  | { readonly kind: "entry"; readonly entry: RdbEntry }
  | { readonly kind: "rest"; readonly bytes: Buffer; readonly isLast: boolean };

export interface Selection {
  readonly prepared: Prepared;
  /** As KEYS takes it; bytes are compared as they are. */
  readonly pattern: string;
  /** The database that holds the cluster's keys of a partition. */
  readonly dbOf: (partition: number) => number;
  readonly signal: AbortSignal;
}

async function* matching({ prepared, pattern, dbOf, signal }: Selection): AsyncGenerator<Piece> {
  const bytesPattern = Buffer.from(pattern).toString("latin1");
  for (const { partition, path } of prepared.partitions) {
    const scanner = new RdbScanner();
    let isWanted = false;
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024, signal })) {
      for (const piece of scanner.push(chunk as Buffer)) {
        if (piece.kind === "entry") {
          isWanted =
            piece.db === dbOf(partition) && matchesGlob(bytesPattern, piece.key.toString("latin1"));
          if (isWanted) yield { kind: "entry", entry: piece };
        } else if (piece.kind === "rest") {
          if (isWanted) yield piece;
        } else isWanted = false;
      }
    }
  }
}

/** Writes the keys into an RDB of database 0 that must not exist yet; answers how many. Throws FILE_EXISTS. */
export async function keysToFile(selection: Selection, path: string): Promise<number> {
  const file = await open(path, "wx", 0o600).catch((cause: unknown) => {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
    throw new TwineError(
      {
        code: "FILE_EXISTS",
        message: `${path} exists`,
        remedy: "name a file that is not there yet",
      },
      { cause },
    );
  });
  let count = 0;
  try {
    const writer = new RdbWriter(selection.prepared.format);
    writer.select(0);
    for await (const piece of matching(selection)) {
      writer.add(piece.kind === "entry" ? piece.entry.bytes : piece.bytes);
      if (piece.kind === "entry") count += 1;
      await file.writeFile(writer.flush());
    }
    await file.writeFile(writer.end());
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return count;
}

export interface KeysRestored {
  readonly restored: number;
  /** Their time has passed since the backup. */
  readonly expired: number;
  /** Names that the cluster had already, the first few; nothing was changed there. */
  readonly existing: readonly string[];
  readonly existingCount: number;
}

export interface RestoreKeys extends Selection {
  readonly prefix: string;
  readonly wallMs: number;
  /** Sends a command about `key` to the master of its partition. */
  send(key: Buffer, words: readonly (Buffer | string)[]): Promise<RespValue>;
  /** Whether a reply's error says that the key exists (BUSYKEY). */
  isExisting(error: unknown): boolean;
}

/** A value that is longer is not held in memory. */
const VALUE_BYTES_MAX = 512 * 1024 * 1024;
const SHOWN_COUNT = 10;

/** Gives each key back as PREFIX+key with its expiry. Throws VALUE_TOO_LONG, and what `send` throws. */
export async function keysWithPrefix(options: RestoreKeys): Promise<KeysRestored> {
  const { prefix, prepared, wallMs } = options;
  let [restored, expired, existingCount] = [0, 0, 0];
  const existing: string[] = [];
  const finish = async (entry: RdbEntry, rest: readonly Buffer[]): Promise<void> => {
    if (entry.expireAtMs !== undefined && entry.expireAtMs <= wallMs) {
      expired += 1;
      return;
    }
    const key = Buffer.concat([Buffer.from(prefix), entry.key]);
    const payload = dumpOf(entry, rest, prepared.format.version);
    const time = entry.expireAtMs === undefined ? ["0"] : [String(entry.expireAtMs)];
    const words = ["RESTORE", key, ...time, payload, ...(time[0] === "0" ? [] : ["ABSTTL"])];
    try {
      await options.send(key, words);
      restored += 1;
    } catch (error) {
      if (!options.isExisting(error)) throw error;
      existingCount += 1;
      if (existing.length < SHOWN_COUNT) existing.push(key.toString("utf8"));
    }
  };
  let open: { readonly entry: RdbEntry; readonly rest: Buffer[]; bytes: number } | undefined;
  for await (const piece of matching(options)) {
    if (piece.kind === "entry") {
      // The scanner uses its memory again.
      const { key, type, db, expireAtMs, bytes, size, typeAt, valueAt, isLast } = piece.entry;
      const entry: RdbEntry = {
        ...{ kind: "entry", type, db, expireAtMs, size, typeAt, valueAt, isLast },
        ...{ key: Buffer.from(key), bytes: Buffer.from(bytes) },
      };
      open = { entry, rest: [], bytes: entry.bytes.length };
      if (!entry.isLast) continue;
    } else if (open !== undefined) {
      open.rest.push(Buffer.from(piece.bytes));
      open.bytes += piece.bytes.length;
      if (open.bytes > VALUE_BYTES_MAX) throw tooLong(open.entry.key);
      if (!piece.isLast) continue;
    }
    if (open !== undefined) await finish(open.entry, open.rest);
    open = undefined;
  }
  return { restored, expired, existing, existingCount };
}

/** What DUMP answers: type and value, the RDB version, CRC-64. https://redis.io/docs/latest/commands/dump/ */
function dumpOf(entry: RdbEntry, rest: readonly Buffer[], version: number): Buffer {
  const { bytes, typeAt, valueAt } = entry;
  const footer = Buffer.alloc(2);
  footer.writeUInt16LE(version);
  const body = Buffer.concat([
    bytes.subarray(typeAt, typeAt + 1),
    bytes.subarray(valueAt),
    ...rest,
    footer,
  ]);
  const crc = new Crc64();
  crc.update(body);
  return Buffer.concat([body, crc.digest()]);
}

function tooLong(key: Buffer): TwineError {
  return new TwineError({
    code: "VALUE_TOO_LONG",
    message: `the value of ${key.subarray(0, 100).toString("utf8")} is longer than ${VALUE_BYTES_MAX} bytes`,
    remedy: "get it by --to-file, and load that file into a redis-server",
  });
}
