// rdb-pieces.ts: what an RDB consists of, in the pieces that the scanner finds. Pure.
import type { RdbMagic, ValueKind } from "./rdb-types.ts";

/** `bytes` of every piece lie in memory that the caller pushed; what must live longer is copied. */
export type RdbPiece =
  | {
      readonly kind: "magic";
      readonly magic: RdbMagic;
      readonly version: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: "aux"; readonly name: string; readonly value: string; readonly bytes: Buffer }
  /** A library of functions; `code` begins with its shebang line. */
  | { readonly kind: "function"; readonly code: Buffer; readonly bytes: Buffer }
  | RdbEntry
  /** More of the item before. */
  | { readonly kind: "rest"; readonly bytes: Buffer; readonly isLast: boolean }
  | {
      readonly kind: "other";
      readonly opcode: number;
      readonly bytes: Buffer;
      readonly isLast: boolean;
    }
  /** The end mark and the checksum; a file without one carries eight zero bytes. */
  | { readonly kind: "end"; readonly hasChecksum: boolean; readonly bytes: Buffer };

export interface RdbEntry {
  readonly kind: "entry";
  readonly key: Buffer;
  readonly type: ValueKind;
  readonly db: number;
  /** Unix time in milliseconds; undefined: it never expires. */
  readonly expireAtMs: number | undefined;
  /** From its expiry to as much of its value as is there. */
  readonly bytes: Buffer;
  /** Of those bytes. */
  readonly size: number;
  /** Where the byte of its type and its value begin in `bytes`. */
  readonly typeAt: number;
  readonly valueAt: number;
  /** The value ends with it. */
  readonly isLast: boolean;
}

interface EntryPlaces {
  readonly window: Buffer;
  readonly from: number;
  readonly end: number;
  readonly typeAt: number;
  readonly valueAt: number;
}

/** Its bytes are cut out of the window only for who asks: of a million keys that takes longer than finding them. */
export class ScannedEntry implements RdbEntry {
  readonly kind = "entry";
  readonly key: Buffer;
  readonly type: ValueKind;
  readonly db: number;
  readonly expireAtMs: number | undefined;
  readonly isLast: boolean;
  readonly #places: EntryPlaces;

  constructor(
    key: Buffer,
    type: ValueKind,
    db: number,
    expireAtMs: number | undefined,
    places: EntryPlaces,
    isLast: boolean,
  ) {
    this.key = key;
    this.type = type;
    this.db = db;
    this.expireAtMs = expireAtMs;
    this.#places = places;
    this.isLast = isLast;
  }

  get bytes(): Buffer {
    const { window, from, end } = this.#places;
    return window.subarray(from, end);
  }

  get size(): number {
    return this.#places.end - this.#places.from;
  }

  get typeAt(): number {
    return this.#places.typeAt;
  }

  get valueAt(): number {
    return this.#places.valueAt;
  }
}
