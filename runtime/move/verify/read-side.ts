// read-side.ts: all keys of one side, read as RDBs, as records. The first pass takes the bytes of each value as they are: where
// they are the same, so are the values. A later pass takes what is left, and what it is by a redis-server of our own.
import { TwineError } from "../../core/errors.ts";
import { NodeError } from "../../replication/node-error.ts";
import { RdbScanner, type RdbEntry } from "../../replication/rdb/rdb-scanner.ts";
import type { ValueKind } from "../../replication/rdb/rdb-types.ts";
import { dumpOf } from "../../replication/rdb/rdb-values.ts";
import type { Suspects } from "./compare-records.ts";
import { keyHash, RecordWriter, ValueHash } from "./key-records.ts";
import type { ValueDigests } from "./value-digests.ts";

/** The data of one server, or one file. */
export interface KeyStream {
  /** For people. */
  readonly name: string;
  /** The database that counts as 0, because another system numbers it otherwise. */
  readonly db: number;
  /** Of all keys, those that count. `db`: as the RDB has it. Absent: all. */
  readonly wants?: (key: Buffer, db: number) => boolean;
  /** Keys that expire up to this time (Unix, in milliseconds) do not count. Absent: up to now. */
  readonly expiredByMs?: () => number;
  /** An RDB. Called once for each pass. */
  open(): AsyncIterable<Buffer>;
}

export interface Side {
  /** For people. */
  readonly name: string;
  readonly streams: readonly KeyStream[];
  /** How many streams are read at the same time.
      @default 4 */
  readonly streamsAtOnce?: number;
}

export interface ReadPorts {
  /** Where the records go: private, there for both sides. */
  readonly folder: string;
  /** Of this side and this pass. */
  readonly name: string;
  /** Unix time, now. */
  readonly nowMs: () => number;
  readonly onBytes: (bytes: number) => void;
}

export interface ReadSide {
  /** The code of each library of functions. */
  readonly libraries: ReadonlyMap<string, Buffer>;
}

/** What a later pass looks at, and with what. */
export interface ValueReading {
  readonly suspects: Suspects;
  readonly digests: ValueDigests;
}

/** Longer ones are not loaded: their bytes are compared. */
const VALUE_BYTES_MAX = 64 * 1024 * 1024;
const STREAMS_AT_ONCE = 4;
const AT_ONCE = 500;
const AT_ONCE_BYTES = 16 * 1024 * 1024;

/** A key whose value goes on. */
interface OpenKey {
  readonly key: Buffer;
  readonly db: number;
  readonly expireAtMs: number | undefined;
  readonly type: ValueKind;
  readonly named: Buffer;
  readonly hash: ValueHash;
  /** undefined: nobody loads it, or it is too long for that. */
  parts: Buffer[] | undefined;
  bytes: number;
}

/**
 * Writes a record of each key: of its bytes, or with `values` of what the suspects and perhaps a few more are. Throws
 * VERIFY_UNREADABLE, RdbError when a server's data is none, and SCRATCH_FAILED.
 */
export async function readSide(
  side: Side,
  ports: ReadPorts,
  values: ValueReading | undefined,
): Promise<ReadSide> {
  const writer = new RecordWriter(ports.folder, ports.name);
  const libraries = new Map<string, Buffer>();
  const streams = side.streams.values();
  let isBroken = false;
  /** One stream after the other, until none is left. */
  const readOn = async (): Promise<void> => {
    const sink = new RecordSink(writer, values?.digests);
    for (const stream of streams) {
      if (isBroken) return;
      const keys = new StreamKeys(stream, ports, values?.suspects);
      for await (const chunk of readable(stream, side)) {
        ports.onBytes(chunk.length);
        for (const piece of keys.push(chunk)) {
          if (piece.kind === "library") libraries.set(piece.code.toString("latin1"), piece.code);
          else await sink.add(piece.key, piece.version);
        }
      }
      keys.finish();
    }
    await sink.flush();
  };
  try {
    // A node waits some seconds before it gives its data (repl-diskless-sync-delay): several wait together.
    const reading = Array.from({ length: side.streamsAtOnce ?? STREAMS_AT_ONCE }, () =>
      readOn().catch((error: unknown) => {
        isBroken = true;
        throw error;
      }),
    );
    const [failed] = (await Promise.allSettled(reading)).filter((one) => one.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    await writer.end();
  } finally {
    await writer.close();
  }
  return { libraries };
}

/** The stream's bytes. Throws VERIFY_UNREADABLE where the node says or does something else than giving its data. */
async function* readable(stream: KeyStream, side: Side): AsyncGenerator<Buffer> {
  try {
    yield* stream.open();
  } catch (error) {
    if (!(error instanceof NodeError) || error.kind === "aborted") throw error;
    throw new TwineError(
      {
        code: "VERIFY_UNREADABLE",
        message: `${stream.name} of ${side.name} can't be read: ${error.message}`,
        remedy:
          error.kind === "denied"
            ? "give its password; the user needs the rights to PSYNC and REPLCONF"
            : "nothing was changed; see whether it runs, and compare again",
      },
      { cause: error },
    );
  }
}

type Found =
  | { readonly kind: "library"; readonly code: Buffer }
  | { readonly kind: "key"; readonly key: OpenKey; readonly version: number };

/** The wanted keys of one RDB. */
class StreamKeys {
  readonly #scanner = new RdbScanner();
  readonly #stream: KeyStream;
  readonly #ports: ReadPorts;
  readonly #suspects: Suspects | undefined;
  #version = 0;
  #open: OpenKey | undefined;

  constructor(stream: KeyStream, ports: ReadPorts, suspects: Suspects | undefined) {
    this.#stream = stream;
    this.#ports = ports;
    this.#suspects = suspects;
  }

  push(chunk: Buffer): Found[] {
    const found: Found[] = [];
    for (const piece of this.#scanner.push(chunk)) {
      if (piece.kind === "magic") this.#version = piece.version;
      if (piece.kind === "function") found.push({ kind: "library", code: Buffer.from(piece.code) });
      if (piece.kind === "entry") this.#begin(piece);
      else if (piece.kind === "rest") this.#add(piece.bytes);
      else this.#open = undefined;
      const key = this.#open;
      if (key === undefined || !("isLast" in piece) || !piece.isLast) continue;
      this.#open = undefined;
      found.push({ kind: "key", key, version: this.#version });
    }
    return found;
  }

  finish(): void {
    this.#scanner.finish();
  }

  #begin({ key, db: stored, expireAtMs, type, bytes, typeAt, valueAt }: RdbEntry): void {
    this.#open = undefined;
    // Its time has come: either side may have removed it by now.
    const expiredByMs = this.#stream.expiredByMs ?? this.#ports.nowMs;
    if (expireAtMs !== undefined && expireAtMs <= expiredByMs()) return;
    if (this.#stream.wants?.(key, stored) === false) return;
    const db = dbOf(stored, this.#stream);
    const named = keyHash(db, key);
    if (this.#suspects?.has(named.toString("latin1")) === false) return;
    const parts = this.#suspects === undefined ? undefined : [];
    const hash = new ValueHash(expireAtMs);
    // The chunk's memory is the scanner's.
    this.#open = { key: Buffer.from(key), db, expireAtMs, type, named, hash, parts, bytes: 0 };
    this.#add(bytes.subarray(typeAt, typeAt + 1));
    this.#add(bytes.subarray(valueAt));
  }

  #add(bytes: Buffer): void {
    const open = this.#open;
    if (open === undefined) return;
    open.hash.update(bytes);
    open.bytes += bytes.length;
    if (open.bytes > VALUE_BYTES_MAX) open.parts = undefined;
    open.parts?.push(Buffer.from(bytes));
  }
}

/** Records into files; values are digested some at a time. */
class RecordSink {
  readonly #writer: RecordWriter;
  readonly #digests: ValueDigests | undefined;
  #held: { readonly key: OpenKey; readonly dump: Buffer }[] = [];
  #heldBytes = 0;

  constructor(writer: RecordWriter, digests: ValueDigests | undefined) {
    this.#writer = writer;
    this.#digests = digests;
  }

  async add(key: OpenKey, version: number): Promise<void> {
    if (this.#digests === undefined || key.parts === undefined) {
      await this.#writer.add(key.named, key.hash.digest(), key.db, key.key);
      return;
    }
    this.#held.push({ key, dump: dumpOf(key.parts, version) });
    key.parts = undefined;
    this.#heldBytes += key.bytes;
    if (this.#held.length >= AT_ONCE || this.#heldBytes >= AT_ONCE_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const held = this.#held;
    [this.#held, this.#heldBytes] = [[], 0];
    if (held.length === 0) return;
    const values = held.map(({ key: { type }, dump }) => ({ type, dump }));
    const texts = (await this.#digests?.of(values)) ?? [];
    for (const [at, { key }] of held.entries()) {
      const digest = new ValueHash(key.expireAtMs).update(Buffer.from(texts[at] ?? "")).digest();
      await this.#writer.add(key.named, digest, key.db, key.key);
    }
  }
}

/** The stream's own database and 0 change places. */
function dbOf(db: number, { db: own }: KeyStream): number {
  if (db === own) return 0;
  return db === 0 ? own : db;
}
