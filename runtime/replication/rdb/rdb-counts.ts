// rdb-counts.ts: what an RDB holds, counted while it passes. Pure.
import type { RdbPiece } from "./rdb-scanner.ts";
import type { RdbMagic, ValueKind } from "./rdb-types.ts";

export interface RdbFigures {
  readonly magic: RdbMagic;
  readonly version: number;
  /** Of the server that wrote it, as it called itself; empty when it did not. */
  readonly serverVersion: string;
  readonly bytes: number;
  readonly keys: number;
  readonly keysWithExpiry: number;
  /** Of these, keys whose time had come; 0 where the time of now was not given. */
  readonly keysExpired: number;
  readonly keysByType: Readonly<Partial<Record<ValueKind, number>>>;
  /** Database number -> keys. */
  readonly keysByDb: Readonly<Record<string, number>>;
  /** Names of the libraries of functions, in the order of the file. */
  readonly functions: readonly string[];
  /** The database of the feed's first command, where it follows this RDB without a SELECT; -1: none yet. */
  readonly feedDb: number;
}

const AUX_VERSIONS = ["redis-ver", "valkey-ver"];

/** Changed where it lies: of a million keys, writing a number back into a map takes as long as the rest of the counting. */
interface Count {
  count: number;
}

function countIn<Key>(counts: Map<Key, Count>, key: Key): void {
  const known = counts.get(key);
  if (known === undefined) counts.set(key, { count: 1 });
  else known.count++;
}

function numbersIn<Key extends PropertyKey>(counts: ReadonlyMap<Key, Count>): Record<Key, number> {
  const numbers = [...counts].map(([key, { count }]) => [key, count]);
  return Object.fromEntries(numbers) as Record<Key, number>;
}

export class RdbCounts {
  #magic: RdbMagic = "REDIS";
  #version = 0;
  #serverVersion = "";
  #bytes = 0;
  #keys = 0;
  #keysWithExpiry = 0;
  #keysExpired = 0;
  readonly #nowMs: number;
  #feedDb = -1;
  readonly #byType = new Map<ValueKind, Count>();
  readonly #byDb = new Map<number, Count>();
  readonly #functions: string[] = [];

  /** `nowMs`: Unix time. */
  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  add(pieces: readonly RdbPiece[]): void {
    for (const piece of pieces) this.#addOne(piece);
  }

  figures(): RdbFigures {
    return {
      magic: this.#magic,
      version: this.#version,
      serverVersion: this.#serverVersion,
      bytes: this.#bytes,
      keys: this.#keys,
      keysWithExpiry: this.#keysWithExpiry,
      keysExpired: this.#keysExpired,
      keysByType: numbersIn(this.#byType),
      keysByDb: numbersIn(this.#byDb),
      functions: this.#functions,
      feedDb: this.#feedDb,
    };
  }

  #addOne(piece: RdbPiece): void {
    this.#bytes += piece.kind === "entry" ? piece.size : piece.bytes.length;
    switch (piece.kind) {
      case "entry":
        this.#keys++;
        if (piece.expireAtMs !== undefined) {
          this.#keysWithExpiry++;
          if (piece.expireAtMs <= this.#nowMs) this.#keysExpired++;
        }
        countIn(this.#byType, piece.type);
        countIn(this.#byDb, piece.db);
        return;
      case "magic":
        this.#magic = piece.magic;
        this.#version = piece.version;
        return;
      case "aux":
        if (AUX_VERSIONS.includes(piece.name)) this.#serverVersion = piece.value;
        if (piece.name === "repl-stream-db") this.#feedDb = Number(piece.value);
        return;
      case "function":
        this.#functions.push(libraryName(piece.code));
        return;
      default:
    }
  }
}

/** From its first line, `#!lua name=NAME`; the line itself when it names nothing. */
export function libraryName(code: Buffer): string {
  const end = code.indexOf(10);
  const line = code.toString("utf8", 0, Math.min(end === -1 ? code.length : end, 512));
  return /\bname=(\S+)/.exec(line)?.[1] ?? line;
}
