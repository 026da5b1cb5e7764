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

/** Where an entry lies in the window of the scanner. */
export interface EntryPlaces {
  readonly window: Buffer;
  readonly from: number;
  readonly end: number;
  readonly typeAt: number;
  /** Of the key, where it lies there as it is; -1: it was written in a shorter form. */
  readonly keyAt: number;
  readonly valueAt: number;
}

/** Its bytes and its key are cut out of the window only for who asks: of a million keys that takes longer than finding them. */
export class ScannedEntry implements RdbEntry {
  readonly kind = "entry";
  readonly type: ValueKind;
  readonly db: number;
  readonly expireAtMs: number | undefined;
  readonly size: number;
  readonly typeAt: number;
  readonly valueAt: number;
  readonly isLast: boolean;
  readonly #window: Buffer;
  readonly #from: number;
  readonly #keyAt: number;
  #key: Buffer | undefined;

  /** `key`: the one that does not lie in the window. */
  constructor(
    type: ValueKind,
    db: number,
    expireAtMs: number | undefined,
    { window, from, end, typeAt, keyAt, valueAt }: EntryPlaces,
    key: Buffer | undefined,
    isLast: boolean,
  ) {
    this.type = type;
    this.db = db;
    this.expireAtMs = expireAtMs;
    this.size = end - from;
    this.typeAt = typeAt - from;
    this.valueAt = valueAt - from;
    this.isLast = isLast;
    this.#window = window;
    this.#from = from;
    this.#keyAt = keyAt;
    this.#key = key;
  }

  get key(): Buffer {
    this.#key ??= this.#window.subarray(this.#keyAt, this.#from + this.valueAt);
    return this.#key;
  }

  get bytes(): Buffer {
    return this.#window.subarray(this.#from, this.#from + this.size);
  }
}
