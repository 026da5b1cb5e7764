// rdb-splitter.ts: RDBs in, as many RDBs out as there are partitions: each key's bytes go to the partition of its key,
// values are not decoded.
//
//   source 0 --> scanner --> partition of each key --> output 0
//   source 1 --> scanner --/                        \-> output 1 ...
//
// Functions and old scripts go to every output. What is true of the source alone is left out: sizes, slots, its place in
// its replication. A key that did not belong into its source lies there by a mistake, and its true owner may hold another
// value: it is left out and reported, for a key that comes twice in one RDB aborts the node that loads it (seen).
import { TwineError } from "../../core/errors.ts";
import { libraryName } from "./rdb-counts.ts";
import { RdbScanner, type RdbEntry, type RdbPiece } from "./rdb-scanner.ts";
import { OPCODE } from "./rdb-types.ts";
import { RdbWriter, type RdbFormat } from "./rdb-writer.ts";

export interface SplitSource {
  /** For errors and reports. */
  readonly name: string;
  chunks(): AsyncIterable<Buffer>;
  /** Whether a key belongs there; absent: every key does. */
  owns?(key: Buffer): boolean | Promise<boolean>;
}

export interface SplitOptions {
  /** Of all outputs: at least the newest of the sources. */
  readonly format: RdbFormat;
  /** One per partition, in order; each write is awaited. */
  readonly outputs: readonly { write(bytes: Buffer): Promise<void> }[];
  /** From 0. */
  partitionOf(key: Buffer): number | Promise<number>;
  /** Where a key of that database goes; absent: it keeps its number. */
  readonly dbOf?: (db: number, output: number) => number;
  /** Called for every key that is written, with the database where it goes. */
  readonly onKey?: (db: number, key: Buffer) => void;
  /** Now, as Unix time, to count what has expired. */
  readonly nowMs?: number;
  /** Expiry in Unix milliseconds to another; absent: it stays. */
  readonly shiftExpiryMs?: number;
}

export interface SplitReport {
  /** By output. */
  readonly keys: readonly number[];
  readonly keysWithExpiry: readonly number[];
  /** Keys of all outputs whose time had come at `nowMs`. */
  readonly expired: number;
  /** Left out, by source. */
  readonly misplaced: readonly MisplacedKeys[];
  /** Libraries of functions of the same name with different code: the first one was taken. */
  readonly functionConflicts: readonly string[];
}

export interface MisplacedKeys {
  readonly source: string;
  readonly keys: number;
  /** The first few. */
  readonly examples: readonly Buffer[];
}

const EXAMPLES_MAX = 10;
const KEPT_AUX = ["redis-ver", "valkey-ver", "redis-bits", "ctime", "used-mem"];
/** A script of EVAL, as files before Redis 7 keep it. */
const SCRIPT_AUX = "lua";

/** Writes the outputs to their ends. Throws RdbError of a source, with its name, and what an output throws. */
export async function splitRdbs(
  sources: readonly SplitSource[],
  options: SplitOptions,
): Promise<SplitReport> {
  const splitter = new Splitter(options);
  for (const [index, source] of sources.entries()) await splitter.read(source, index === 0);
  return splitter.end();
}

class Splitter {
  readonly #options: SplitOptions;
  readonly #writers: readonly RdbWriter[];
  readonly #keys: number[];
  readonly #keysWithExpiry: number[];
  #expired = 0;
  readonly #misplaced: MisplacedKeys[] = [];
  readonly #libraries = new Map<string, Buffer>();
  readonly #conflicts = new Set<string>();
  readonly #scripts = new Set<string>();
  /** Where the rest of the present item goes. */
  #goesTo: readonly RdbWriter[] = [];

  constructor(options: SplitOptions) {
    this.#options = options;
    this.#writers = options.outputs.map(() => new RdbWriter(options.format));
    this.#keys = options.outputs.map(() => 0);
    this.#keysWithExpiry = options.outputs.map(() => 0);
  }

  async read(source: SplitSource, isFirst: boolean): Promise<void> {
    const scanner = new RdbScanner();
    const misplaced = { source: source.name, keys: 0, examples: [] as Buffer[] };
    try {
      for await (const chunk of source.chunks()) {
        const pieces = scanner.push(chunk);
        const owned = await ownership(pieces, source);
        const partitions = await this.#partitions(pieces);
        for (const [index, piece] of pieces.entries()) {
          if (piece.kind !== "entry") this.#route(piece, isFirst);
          else if (owned === undefined || owned[index] === true) {
            this.#entry(piece, partitions[index] ?? 0);
          } else {
            this.#goesTo = [];
            misplaced.keys++;
            if (misplaced.examples.length < EXAMPLES_MAX) {
              misplaced.examples.push(Buffer.from(piece.key));
            }
          }
        }
        await this.#flush();
      }
      scanner.finish();
    } catch (error) {
      if (error instanceof Error && !(error instanceof TwineError))
        error.message = `${source.name}: ${error.message}`;
      throw error;
    }
    if (misplaced.keys > 0) this.#misplaced.push(misplaced);
  }

  async end(): Promise<SplitReport> {
    const { outputs } = this.#options;
    await Promise.all(
      this.#writers.map(async (writer, index) => {
        await outputs[index]?.write(writer.end());
      }),
    );
    return {
      keys: this.#keys,
      keysWithExpiry: this.#keysWithExpiry,
      expired: this.#expired,
      misplaced: this.#misplaced,
      functionConflicts: [...this.#conflicts],
    };
  }

  /** By piece; 0 for what is no key. */
  #partitions(pieces: readonly RdbPiece[]): Promise<readonly number[]> {
    return settled(
      pieces.map((piece) => (piece.kind === "entry" ? this.#options.partitionOf(piece.key) : 0)),
    );
  }

  #entry(entry: RdbEntry, partition: number): void {
    const writer = this.#writers[partition];
    if (writer === undefined) {
      throw new Error(`the partition function answered ${partition} of ${this.#writers.length}`);
    }
    const { dbOf, onKey, nowMs = 0, shiftExpiryMs = 0 } = this.#options;
    const db = dbOf === undefined ? entry.db : dbOf(entry.db, partition);
    onKey?.(db, entry.key);
    writer.select(db);
    writer.add(shiftExpiryMs === 0 ? entry.bytes : shifted(entry, shiftExpiryMs));
    this.#keys[partition] = (this.#keys[partition] ?? 0) + 1;
    if (entry.expireAtMs !== undefined) {
      this.#keysWithExpiry[partition] = (this.#keysWithExpiry[partition] ?? 0) + 1;
      if (entry.expireAtMs <= nowMs) this.#expired++;
    }
    this.#goesTo = [writer];
  }

  #route(piece: Exclude<RdbPiece, RdbEntry>, isFirst: boolean): void {
    switch (piece.kind) {
      case "rest":
        for (const writer of this.#goesTo) writer.add(piece.bytes);
        return;
      case "function":
        if (this.#isNewLibrary(piece.code)) this.#toAll(piece.bytes);
        return;
      case "aux":
        if (piece.name === SCRIPT_AUX) {
          if (!this.#scripts.has(piece.value)) this.#toAll(piece.bytes);
          this.#scripts.add(piece.value);
        } else if (isFirst && KEPT_AUX.includes(piece.name)) this.#toAll(piece.bytes);
        return;
      case "other": {
        const isKept = piece.opcode === OPCODE.moduleAux;
        this.#goesTo = isKept ? this.#writers : [];
        for (const writer of this.#goesTo) writer.add(piece.bytes);
        return;
      }
      default:
    }
  }

  #toAll(bytes: Buffer): void {
    for (const writer of this.#writers) writer.add(bytes);
  }

  #isNewLibrary(code: Buffer): boolean {
    const name = libraryName(code);
    const known = this.#libraries.get(name);
    if (known === undefined) {
      this.#libraries.set(name, Buffer.from(code));
      return true;
    }
    if (!known.equals(code)) this.#conflicts.add(name);
    return false;
  }

  async #flush(): Promise<void> {
    const { outputs } = this.#options;
    await Promise.all(
      this.#writers.map(async (writer, index) => {
        const bytes = writer.flush();
        if (bytes.length > 0) await outputs[index]?.write(bytes);
      }),
    );
  }
}

/** By piece whether its source owns it; undefined where all are. */
async function ownership(
  pieces: readonly RdbPiece[],
  source: SplitSource,
): Promise<readonly boolean[] | undefined> {
  if (source.owns === undefined) return undefined;
  return settled(
    pieces.map((piece) => (piece.kind === "entry" ? (source.owns?.(piece.key) ?? true) : true)),
  );
}

/** Waits only where something is a promise: that is rare, and waiting for each of a million keys takes longer than all else. */
async function settled<T>(values: readonly (T | Promise<T>)[]): Promise<readonly T[]> {
  for (const value of values) if (value instanceof Promise) return Promise.all(values);
  return values as readonly T[];
}

/** The entry's bytes with another expiry, which stands at their start. */
function shifted({ bytes, expireAtMs }: RdbEntry, shiftMs: number): Buffer {
  if (expireAtMs === undefined) return bytes;
  const isSeconds = bytes[0] === OPCODE.expireSeconds;
  if (!isSeconds && bytes[0] !== OPCODE.expireMs) return bytes;
  const expiry = Buffer.alloc(9, OPCODE.expireMs);
  expiry.writeBigInt64LE(BigInt(Math.round(expireAtMs + shiftMs)), 1);
  return Buffer.concat([expiry, bytes.subarray(isSeconds ? 5 : 9)]);
}
