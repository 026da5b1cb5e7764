// key-records.ts: what one side holds, a short record for each key, sorted into files by the keys' hashes: so any two sides are
// compared file by file, and memory is bounded by the largest file, whatever they hold.
//
//   hash of db and key: 16 bytes, digest of value and expiry: 16 bytes, db: 2, length: 2, key (its first 200 bytes)
import { createHash, hash, type Hash } from "node:crypto";
import { open, readFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";

export interface KeyRecord {
  /** Of database and key, as latin1 text of 16 bytes. */
  readonly hash: string;
  /** Of value and expiry, as latin1 text of 16 bytes. */
  readonly digest: string;
  readonly db: number;
  /** Its first 200 bytes. */
  readonly key: Buffer;
}

export const BUCKET_COUNT = 256;
const HASH_BYTES = 16;
const HEAD_BYTES = 2 * HASH_BYTES + 4;
const KEY_BYTES_MAX = 200;
/** Written at once. */
const BUFFER_BYTES = 32 * 1024;
const SHORT_BYTES = 1024;

/** 16 bytes that name this key of this database. Pure. */
export function keyHash(db: number, key: Uint8Array): Buffer {
  const named = Buffer.allocUnsafe(2 + key.length);
  named.writeUInt16LE(db);
  named.set(key, 2);
  return hash("sha1", named, "buffer").subarray(0, HASH_BYTES);
}

/** 16 bytes of a value and the time at which it expires. Most values are short: hashed at once that takes half the time. */
export class ValueHash {
  #short: Buffer | undefined = Buffer.allocUnsafe(SHORT_BYTES);
  #used = 0;
  #long: Hash | undefined;

  constructor(expireAtMs: number | undefined) {
    this.update(Buffer.from(`${expireAtMs ?? ""} `));
  }

  /** Copies what it keeps. */
  update(bytes: Uint8Array): this {
    if (this.#short !== undefined && this.#used + bytes.length <= SHORT_BYTES) {
      this.#short.set(bytes, this.#used);
      this.#used += bytes.length;
      return this;
    }
    if (this.#short !== undefined) {
      this.#long = createHash("sha1").update(this.#short.subarray(0, this.#used));
      this.#short = undefined;
    }
    this.#long?.update(bytes);
    return this;
  }

  digest(): Buffer {
    const whole =
      this.#long?.digest() ?? hash("sha1", this.#short?.subarray(0, this.#used) ?? "", "buffer");
    return whole.subarray(0, HASH_BYTES);
  }
}

interface Bucket {
  readonly buffer: Buffer;
  used: number;
  file: FileHandle | undefined;
  /** Ends with the last write so far: one comes behind the other. */
  written: Promise<void>;
}

function bucketPath(folder: string, name: string, bucket: number): string {
  return join(folder, `${name}-${bucket}`);
}

export class RecordWriter {
  readonly #folder: string;
  readonly #name: string;
  readonly #buckets: Bucket[];

  /** The files are `folder`/`name`-0 to -255; none of them exists yet. */
  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.#buckets = Array.from({ length: BUCKET_COUNT }, () => ({
      ...{ buffer: Buffer.allocUnsafe(BUFFER_BYTES), used: 0, file: undefined },
      written: Promise.resolve(),
    }));
  }

  /** Resolves when more may come; several callers may add at once. */
  async add(hash: Buffer, digest: Buffer, db: number, key: Uint8Array): Promise<void> {
    const index = hash[0] ?? 0;
    const bucket = this.#buckets[index];
    if (bucket === undefined) return;
    const isFull = bucket.used + HEAD_BYTES + KEY_BYTES_MAX > BUFFER_BYTES;
    const written = isFull ? this.#flush(bucket, index) : undefined;
    const { buffer, used } = bucket;
    const shown = key.subarray(0, KEY_BYTES_MAX);
    buffer.set(hash, used);
    buffer.set(digest, used + HASH_BYTES);
    buffer.writeUInt16LE(db, used + 2 * HASH_BYTES);
    buffer.writeUInt16LE(shown.length, used + 2 * HASH_BYTES + 2);
    buffer.set(shown, used + HEAD_BYTES);
    bucket.used = used + HEAD_BYTES + shown.length;
    await written;
  }

  /** All records are in the files. */
  async end(): Promise<void> {
    for (const [index, bucket] of this.#buckets.entries()) await this.#flush(bucket, index);
    await this.close();
  }

  /** Lets the files go, whatever is in them. */
  async close(): Promise<void> {
    for (const bucket of this.#buckets) {
      await bucket.written.catch(() => undefined);
      const { file } = bucket;
      bucket.file = undefined;
      await file?.close();
    }
  }

  #flush(bucket: Bucket, index: number): Promise<void> {
    const bytes = Buffer.from(bucket.buffer.subarray(0, bucket.used));
    bucket.used = 0;
    if (bytes.length === 0) return bucket.written;
    bucket.written = bucket.written.then(async () => {
      bucket.file ??= await open(bucketPath(this.#folder, this.#name, index), "wx", 0o600);
      await bucket.file.writeFile(bytes);
    });
    return bucket.written;
  }
}

/** The records of one file; none where it was never written. */
export async function readRecords(
  folder: string,
  name: string,
  bucket: number,
): Promise<KeyRecord[]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(bucketPath(folder, name, bucket));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  const records: KeyRecord[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + HEAD_BYTES + bytes.readUInt16LE(at + 2 * HASH_BYTES + 2);
    records.push({
      hash: bytes.toString("latin1", at, at + HASH_BYTES),
      digest: bytes.toString("latin1", at + HASH_BYTES, at + 2 * HASH_BYTES),
      db: bytes.readUInt16LE(at + 2 * HASH_BYTES),
      key: bytes.subarray(at + HEAD_BYTES, end),
    });
    at = end;
  }
  return records;
}
