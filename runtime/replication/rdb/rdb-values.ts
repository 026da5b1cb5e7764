// rdb-values.ts: the keys of an RDB with their values as RESTORE takes them, out of chunks of any size. Pure.
//
//   pieces of one entry --> type byte, value --> + RDB version, CRC-64 --> what DUMP gives
//
// A value is not decoded, only put together: RESTORE needs its length before its first byte.
// https://redis.io/docs/latest/commands/dump/, /restore/
import { Crc64 } from "./crc64.ts";
import { RdbScanner, type RdbEntry, type RdbPiece } from "./rdb-scanner.ts";
import type { ValueKind } from "./rdb-types.ts";

export interface RdbValue {
  readonly kind: "value";
  readonly key: Buffer;
  readonly type: ValueKind;
  readonly db: number;
  /** Unix time in milliseconds; undefined: it never expires. */
  readonly expireAtMs: number | undefined;
  /** As DUMP gives it. */
  readonly dump: Buffer;
}

/** A value longer than is allowed: its bytes were let go. */
export interface LongValue extends Omit<RdbValue, "kind" | "dump"> {
  readonly kind: "long";
  readonly bytes: number;
}

export interface RdbLibrary {
  readonly kind: "library";
  /** Begins with its shebang line. */
  readonly code: Buffer;
}

export type RdbItem = RdbValue | LongValue | RdbLibrary;

const VERSION_BYTES = 2;

export class RdbValues {
  readonly #scanner = new RdbScanner();
  readonly #valueBytesMax: number;
  #version = 0;
  #open: { readonly entry: RdbEntry; readonly parts: Buffer[]; bytes: number } | undefined;
  #feedDb = -1;

  /** `valueBytesMax`: of one value as it lies in the RDB. */
  constructor(valueBytesMax: number) {
    this.#valueBytesMax = valueBytesMax;
  }

  /** The database in which the change feed behind this RDB begins; -1 where the RDB does not say. */
  get feedDb(): number {
    return this.#feedDb;
  }

  /** What this chunk completes. Throws RdbError. */
  push(chunk: Buffer): RdbItem[] {
    const items: RdbItem[] = [];
    for (const piece of this.#scanner.push(chunk)) {
      const item = this.#take(piece);
      if (item !== undefined) items.push(item);
    }
    return items;
  }

  /** Throws RdbError when the RDB does not end here. */
  finish(): void {
    this.#scanner.finish();
  }

  #take(piece: RdbPiece): RdbItem | undefined {
    switch (piece.kind) {
      case "magic":
        this.#version = piece.version;
        return undefined;
      case "aux":
        if (piece.name === "repl-stream-db") this.#feedDb = Number(piece.value);
        return undefined;
      case "function":
        return { kind: "library", code: Buffer.from(piece.code) };
      case "entry": {
        const entry = { ...piece, key: Buffer.from(piece.key) };
        this.#open = { entry, parts: [], bytes: 0 };
        this.#add(piece.bytes.subarray(piece.typeAt, piece.typeAt + 1));
        this.#add(piece.bytes.subarray(piece.valueAt));
        return piece.isLast ? this.#close() : undefined;
      }
      case "rest":
        this.#add(piece.bytes);
        return piece.isLast ? this.#close() : undefined;
      default:
        // The end of the RDB, or more of what is no key.
        return undefined;
    }
  }

  #add(bytes: Buffer): void {
    const open = this.#open;
    if (open === undefined) return;
    open.bytes += bytes.length;
    // The chunk's memory is the caller's.
    if (open.bytes <= this.#valueBytesMax) open.parts.push(Buffer.from(bytes));
    else open.parts.length = 0;
  }

  #close(): RdbItem | undefined {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return undefined;
    const { key, type, db, expireAtMs } = open.entry;
    const place = { key, type, db, expireAtMs };
    if (open.bytes > this.#valueBytesMax) return { kind: "long", ...place, bytes: open.bytes };
    return { kind: "value", ...place, dump: dumpOf(open.parts, this.#version) };
  }
}

/** What DUMP gives of a value that an RDB of this version holds: its type byte and its bytes, in parts. */
export function dumpOf(parts: readonly Buffer[], version: number): Buffer {
  const tail = Buffer.alloc(VERSION_BYTES);
  tail.writeUInt16LE(version);
  const crc = new Crc64();
  const body = Buffer.concat([...parts, tail]);
  crc.update(body);
  return Buffer.concat([body, crc.digest()]);
}
