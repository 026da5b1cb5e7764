// duplicate-keys.ts: finds a key that comes twice in what is to be restored, before any node is touched: a node that loads
// such an RDB aborts (seen). Memory is bounded, however many keys there are:
//
//   each key -> 64 bits of hash -> one of 256 files on disk -> file by file: sorted, equal neighbours are candidates
//   candidates -> the sources are read once more -> the first key that really comes twice, with the names of its files
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { TwineError } from "../../core/errors.ts";
import { RdbScanner } from "../../replication/rdb/rdb-scanner.ts";
import type { SplitSource } from "../../replication/rdb/rdb-splitter.ts";
import type { PrivateFile, PrivateFiles } from "./private-files.ts";

const FILE_COUNT = 256;
const BUFFER_BYTES = 8192;
const HASH_BYTES = 8;
/** So many candidates are looked for in one more reading of the sources. */
const CANDIDATES_AT_ONCE = 10_000;
const SHOWN_BYTES = 100;

interface Spill {
  readonly path: string;
  readonly file: PrivateFile;
  readonly buffer: Buffer;
  used: number;
}

/** Keeps the hash of each key in files of `folder`, which is private. */
export class KeyHashes {
  readonly #folder: string;
  readonly #files: PrivateFiles;
  readonly #spills: Spill[] = [];

  constructor(folder: string, files: PrivateFiles) {
    this.#folder = folder;
    this.#files = files;
  }

  /** Before the first key. When it fails, remove() takes away what is there. */
  async open(): Promise<void> {
    for (let index = 0; index < FILE_COUNT; index++) {
      const path = join(this.#folder, `keys-${index}`);
      const file = await this.#files.create(path);
      this.#spills.push({ path, file, buffer: Buffer.alloc(BUFFER_BYTES), used: 0 });
    }
  }

  /** `db`: where it is going to lie. */
  add(db: number, key: Buffer): void {
    const [low, high] = halvesOf(db, key);
    const spill = this.#spills[low & 255];
    if (spill === undefined) return;
    spill.buffer.writeUInt32LE(low, spill.used);
    spill.buffer.writeUInt32LE(high, spill.used + 4);
    spill.used += HASH_BYTES;
    if (spill.used === BUFFER_BYTES) flush(spill);
  }

  /** Hashes that came more than once. */
  async *repeated(): AsyncGenerator<bigint> {
    for (const spill of this.#spills) {
      flush(spill);
      const parts: Buffer[] = [];
      for await (const part of this.#files.read(spill.path)) parts.push(part);
      const bytes = Buffer.concat(parts);
      const hashes = new BigUint64Array(
        bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
      ).sort();
      for (let at = 1; at < hashes.length; at++) {
        const hash = hashes[at];
        if (hash !== undefined && hash === hashes[at - 1]) yield hash;
      }
    }
  }

  async remove(): Promise<void> {
    await Promise.all(
      this.#spills.map(async ({ path, file }) => {
        // They are of no use any more, whatever they hold.
        await file.close().catch(() => undefined);
        await rm(path, { force: true });
      }),
    );
  }
}

function flush(spill: Spill): void {
  spill.file.writeNow(spill.buffer.subarray(0, spill.used));
  spill.used = 0;
}

/** Two halves of 32 bits that mix each byte; keys that collide by chance are told apart by reading them. */
function hashOf(db: number, key: Buffer): bigint {
  const [low, high] = halvesOf(db, key);
  return (BigInt(high) << 32n) | BigInt(low);
}

/** Numbers of 64 bits are slow in JavaScript, and this is done for every key. */
function halvesOf(db: number, key: Buffer): readonly [number, number] {
  let [a, b] = [0xdeadbeef ^ db, 0x41c6ce57 ^ db];
  for (const byte of key) {
    a = Math.imul(a ^ byte, 2654435761);
    b = Math.imul(b ^ byte, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return [a >>> 0, b >>> 0];
}

/** Where a key of a source is going to lie. */
export type DbOfKey = (db: number, key: Buffer) => number | Promise<number>;

/** Throws KEY_TWICE, naming the key and the two files. */
export async function requireNoneTwice(
  hashes: KeyHashes,
  sources: readonly SplitSource[],
  dbOf: DbOfKey,
): Promise<void> {
  let wanted = new Set<bigint>();
  for await (const hash of hashes.repeated()) {
    wanted.add(hash);
    if (wanted.size < CANDIDATES_AT_ONCE) continue;
    await lookFor(wanted, sources, dbOf);
    wanted = new Set();
  }
  if (wanted.size > 0) await lookFor(wanted, sources, dbOf);
}

async function lookFor(
  wanted: ReadonlySet<bigint>,
  sources: readonly SplitSource[],
  dbOf: DbOfKey,
): Promise<void> {
  const seen = new Map<string, string>();
  for (const source of sources) {
    const scanner = new RdbScanner();
    for await (const chunk of source.chunks()) {
      for (const piece of scanner.push(chunk)) {
        if (piece.kind !== "entry" || (await source.owns?.(piece.key)) === false) continue;
        const db = await dbOf(piece.db, piece.key);
        if (!wanted.has(hashOf(db, piece.key))) continue;
        const id = `${db} ${piece.key.toString("latin1")}`;
        const before = seen.get(id);
        if (before !== undefined) throw keyTwice(piece.key, before, source.name);
        seen.set(id, source.name);
      }
    }
  }
}

function keyTwice(key: Buffer, first: string, second: string): TwineError {
  const text = key.subarray(0, SHOWN_BYTES).toString("utf8");
  const shown = `'${text}'${key.length > SHOWN_BYTES ? "..." : ""}`;
  const where =
    first === second
      ? `${first} holds the key ${shown} twice`
      : `${first} and ${second} both hold the key ${shown}`;
  return new TwineError({
    code: "KEY_TWICE",
    message: `${where}, and a node can load each key only once`,
    remedy:
      first === second
        ? "nothing was restored; use another RDB file: no server writes such a one"
        : "nothing was restored; restore one of the files alone, or files that share no key",
  });
}
