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
  readonly #byType = new Map<ValueKind, number>();
  readonly #byDb = new Map<number, number>();
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
      keysByType: Object.fromEntries(this.#byType),
      keysByDb: Object.fromEntries(this.#byDb),
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
        this.#byType.set(piece.type, (this.#byType.get(piece.type) ?? 0) + 1);
        this.#byDb.set(piece.db, (this.#byDb.get(piece.db) ?? 0) + 1);
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
