// rdb-scanner.ts: finds the keys in an RDB that comes in chunks of any size; values are stepped over, never decoded. Pure.
//
//   magic  aux...  [function...]  { selectdb  resize  { [expiry] [idle|frequency] type key value }... }...  end  checksum
//                                                     |<------ entry: the head --->|<-rest->|
//
// What a chunk holds is answered as pieces in order; their bytes, one behind the other, are the RDB again. An entry's head
// (all before its value) lies in one piece; a value may go on over many. So memory is bounded by the longest key, not by
// the longest value. The CRC-64 is computed on the way and compared at the end.
// https://github.com/redis/redis/blob/8.2/src/rdb.c, https://github.com/valkey-io/valkey/blob/9.0/src/rdb.c
import { Crc64 } from "./crc64.ts";
import { unpackLzf } from "./lzf.ts";
import { RdbError } from "./rdb-error.ts";
import { ScannedEntry, type RdbPiece } from "./rdb-pieces.ts";
import {
  KNOWN_VERSIONS,
  ONE_STRING,
  OPCODE,
  OPCODE_PROGRAMS,
  valueTypes,
  type RdbMagic,
  type ValueType,
} from "./rdb-types.ts";
import { LengthReader, SkipWalk } from "./skip-walk.ts";

const MAGIC_BYTES = 9;
const CHECKSUM_BYTES = 8;
const STRING_BYTES_MAX = 512 * 1024 * 1024;
const NOTHING: Buffer = Buffer.alloc(0);

export type { RdbEntry, RdbPiece } from "./rdb-pieces.ts";

/** A string that lies whole in the window. */
interface Text {
  readonly bytes: Buffer;
  readonly next: number;
}

/** The first byte of a string whose length does not lie in it. */
const LONG = 64;

/** Where a string of less than 16 KiB that begins at `at` ends; -1: it is another one, or goes on behind the window. */
function shortStringEnd(window: Buffer, at: number): number {
  const first = window[at] ?? 255;
  if (first >= 2 * LONG) return -1;
  const end =
    first < LONG ? at + 1 + first : at + 2 + (((first - LONG) << 8) | (window[at + 1] ?? 0));
  return end <= window.length ? end : -1;
}

export class RdbScanner {
  readonly #crc = new Crc64();
  readonly #walk = new SkipWalk();
  readonly #length = new LengthReader();
  #state: "magic" | "item" | "inside" | "checksum" | "ended" = "magic";
  #types: readonly (ValueType | undefined)[] = [];
  #db = 0;
  /** Chunks that are not enough for the next item, with how many bytes it needs. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #neededBytes = 1;
  /** Bytes before the window. */
  #before = 0;
  #window = NOTHING;
  #at = 0;
  /** The window's bytes that are in the checksum. */
  #summedTo = 0;
  #rest = NOTHING;

  /** The whole RDB has come. */
  get isEnded(): boolean {
    return this.#state === "ended";
  }

  /** What came behind the RDB's end in the chunk that ended it. */
  get rest(): Buffer {
    return this.#rest;
  }

  /** Bytes of the RDB that were taken so far. */
  get position(): number {
    return this.#before + this.#at;
  }

  /** The pieces that this chunk completes. Throws RdbError. */
  push(chunk: Buffer): RdbPiece[] {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < this.#neededBytes || this.isEnded) return [];
    this.#before += this.#at;
    this.#window = this.#held.length === 1 ? chunk : Buffer.concat(this.#held);
    this.#at = 0;
    this.#summedTo = 0;
    const pieces: RdbPiece[] = [];
    this.#neededBytes = 1;
    try {
      while (this.#next(pieces));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new RdbError("broken", error.message, this.position);
    }
    if (this.#state !== "checksum" && this.#state !== "ended") this.#sum(this.#at);
    const left = this.#window.subarray(this.#at);
    if (this.#state === "ended") this.#rest = left;
    // A copy: the few bytes must not keep a large chunk alive.
    this.#held = left.length === 0 ? [] : [Buffer.from(left)];
    this.#heldBytes = left.length;
    return pieces;
  }

  /** To be called when no chunk comes any more. Throws RdbError when the RDB has not ended. */
  finish(): void {
    if (this.isEnded) return;
    const total = this.position + this.#heldBytes;
    if (this.#state === "magic" && this.#heldBytes === 0) {
      throw new RdbError("not-rdb", "there is nothing", 0);
    }
    throw new RdbError("truncated", "it ends in the middle", total);
  }

  /** One more piece; false when the window holds no more. */
  #next(pieces: RdbPiece[]): boolean {
    switch (this.#state) {
      case "magic":
        return this.#magic(pieces);
      case "item":
        return this.#item(pieces);
      case "inside":
        return this.#inside(pieces);
      case "checksum":
        return this.#checksum(pieces);
      case "ended":
        return false;
    }
  }

  /** Takes the window's bytes up to `end`. */
  #take(end: number): Buffer {
    const bytes = this.#window.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** Adds the window's bytes up to `end` to the checksum: many items at once, for each call has its price. */
  #sum(end: number): void {
    this.#crc.update(this.#window, this.#summedTo, end);
    this.#summedTo = end;
  }

  #needs(end: number): false {
    this.#neededBytes = end - this.#at;
    return false;
  }

  #magic(pieces: RdbPiece[]): boolean {
    const found = this.#window.toString("latin1", 0, MAGIC_BYTES);
    const start = found.slice(0, 5);
    if (start !== "REDIS".slice(0, start.length) && start !== "VALKE".slice(0, start.length)) {
      throw new RdbError("not-rdb", `it begins with ${JSON.stringify(start)}`, 0);
    }
    if (found.length < MAGIC_BYTES) return this.#needs(this.#at + MAGIC_BYTES);
    const [, name, digits] = /^(REDIS|VALKEY)(\d{3,4})$/.exec(found) ?? [];
    if (name === undefined) {
      throw new RdbError("not-rdb", `it begins with ${JSON.stringify(found)}`, 0);
    }
    const magic = name as RdbMagic;
    const version = Number(digits);
    const { min, max } = KNOWN_VERSIONS[magic];
    if (version < min || version > max) {
      const why = `its version is ${magic} ${version}; known are ${min} to ${max}`;
      throw new RdbError("version", why, 0);
    }
    this.#types = valueTypes(magic);
    this.#state = "item";
    pieces.push({ kind: "magic", magic, version, bytes: this.#take(MAGIC_BYTES) });
    return true;
  }

  #item(pieces: RdbPiece[]): boolean {
    const window = this.#window;
    const at = this.#at;
    if (at >= window.length) return this.#needs(at + 1);
    const opcode = window[at] ?? 0;
    switch (opcode) {
      case OPCODE.aux: {
        const name = this.#text(at + 1);
        const value = name === undefined ? undefined : this.#text(name.next);
        if (name === undefined || value === undefined) return false;
        const [label, content] = [name.bytes.toString("latin1"), value.bytes.toString("latin1")];
        pieces.push({ kind: "aux", name: label, value: content, bytes: this.#take(value.next) });
        return true;
      }
      case OPCODE.function: {
        const code = this.#text(at + 1);
        if (code === undefined) return false;
        pieces.push({ kind: "function", code: code.bytes, bytes: this.#take(code.next) });
        return true;
      }
      case OPCODE.selectDb:
        if (!this.#length.read(window, at + 1, window.length)) return this.#needsMore();
        if (this.#length.isEncoded) throw new RangeError("an encoding stands for a database");
        this.#db = this.#length.value;
        pieces.push({ kind: "other", opcode, bytes: this.#take(this.#length.next), isLast: true });
        return true;
      case OPCODE.end:
        this.#sum(at + 1);
        this.#state = "checksum";
        return true;
      default: {
        const program = OPCODE_PROGRAMS[opcode];
        if (program === undefined) return this.#entry(pieces);
        this.#walk.begin(program);
        const end = this.#walk.advance(window, at + 1, window.length);
        const isLast = this.#walk.isDone;
        pieces.push({ kind: "other", opcode, bytes: this.#take(end), isLast });
        if (!isLast) this.#state = "inside";
        return true;
      }
    }
  }

  /** Wait for any further byte: how many the item needs is not known yet. */
  #needsMore(): false {
    return this.#needs(this.#window.length + 1);
  }

  #entry(pieces: RdbPiece[]): boolean {
    const window = this.#window;
    let at = this.#at;
    let expireAtMs: number | undefined;
    for (;;) {
      // The longest attribute, and the type behind it.
      if (at + 10 > window.length && !this.#fits(at)) return this.#needsMore();
      const opcode = window[at] ?? 0;
      if (opcode === OPCODE.expireMs) {
        expireAtMs = window.readUInt32LE(at + 1) + window.readInt32LE(at + 5) * 2 ** 32;
        at += 9;
      } else if (opcode === OPCODE.expireSeconds) {
        expireAtMs = window.readInt32LE(at + 1) * 1000;
        at += 5;
      } else if (opcode === OPCODE.frequency) at += 2;
      else if (opcode === OPCODE.idle) {
        if (!this.#length.read(window, at + 1, window.length)) return this.#needsMore();
        at = this.#length.next;
      } else break;
    }
    const type = this.#types[window[at] ?? 0];
    if (type === undefined) {
      const why = `${window[at] ?? 0} is no type of value that is known here`;
      throw new RdbError("type", why, this.#before + at);
    }
    const keyBytes = window[at + 1] ?? LONG;
    let valueAt = at + 2 + keyBytes;
    let keyAt = at + 2;
    let key: Buffer | undefined;
    // Nearly every key is short: its length is one byte.
    if (keyBytes >= LONG || valueAt > window.length) {
      const text = this.#text(at + 1);
      if (text === undefined) return false;
      key = text.bytes;
      keyAt = -1;
      valueAt = text.next;
    }
    let end = type.program === ONE_STRING ? shortStringEnd(window, valueAt) : -1;
    const isShort = end !== -1;
    if (!isShort) {
      this.#walk.begin(type.program);
      end = this.#walk.advance(window, valueAt, window.length);
    }
    const isLast = isShort || this.#walk.isDone;
    const places = { window, from: this.#at, end, typeAt: at, keyAt, valueAt };
    pieces.push(new ScannedEntry(type.kind, this.#db, expireAtMs, places, key, isLast));
    this.#at = end;
    if (!isLast) this.#state = "inside";
    return true;
  }

  /** Whether the attribute or type at `at` lies whole in the window. */
  #fits(at: number): boolean {
    const left = this.#window.length - at;
    const opcode = this.#window[at];
    if (opcode === OPCODE.expireMs) return left >= 9;
    if (opcode === OPCODE.expireSeconds) return left >= 5;
    if (opcode === OPCODE.frequency) return left >= 2;
    return left >= 1;
  }

  #inside(pieces: RdbPiece[]): boolean {
    const end = this.#walk.advance(this.#window, this.#at, this.#window.length);
    const isLast = this.#walk.isDone;
    if (isLast) this.#state = "item";
    else if (end === this.#at) return this.#needsMore();
    pieces.push({ kind: "rest", bytes: this.#take(end), isLast });
    return true;
  }

  #checksum(pieces: RdbPiece[]): boolean {
    const start = this.#at + 1;
    const end = start + CHECKSUM_BYTES;
    if (end > this.#window.length) return this.#needs(end);
    const written = this.#window.subarray(start, end);
    const hasChecksum = written.some((byte) => byte !== 0);
    if (hasChecksum && !written.equals(this.#crc.digest())) {
      const why = `its CRC-64 is ${this.#crc.digest().toString("hex")}, and it says ${written.toString("hex")}`;
      throw new RdbError("checksum", why, this.#before + start);
    }
    const bytes = this.#window.subarray(this.#at, end);
    this.#at = end;
    this.#state = "ended";
    pieces.push({ kind: "end", hasChecksum, bytes });
    return true;
  }

  /** The string at `at`, decoded; undefined when it does not lie whole in the window. */
  #text(at: number): Text | undefined {
    const window = this.#window;
    const length = this.#length;
    if (!length.read(window, at, window.length)) return this.#missing();
    const { value, next } = length;
    if (!length.isEncoded) return this.#slice(next, value);
    switch (value) {
      case 0:
      case 1:
      case 2: {
        const bytesCount = 1 << value;
        if (next + bytesCount > window.length) return this.#missing();
        const number = String(window.readIntLE(next, bytesCount));
        return { bytes: Buffer.from(number, "latin1"), next: next + bytesCount };
      }
      case 3:
        return this.#packed(next);
      default:
        throw new RangeError(`${value} is no encoding of a string`);
    }
  }

  /** A compressed string, from its two lengths on. */
  #packed(at: number): Text | undefined {
    const window = this.#window;
    const length = this.#length;
    if (!length.read(window, at, window.length)) return this.#missing();
    const packedBytes = length.value;
    if (!length.read(window, length.next, window.length)) return this.#missing();
    const { value: bytesCount, next } = length;
    if (bytesCount > STRING_BYTES_MAX) throw new RangeError(`a string of ${bytesCount} bytes`);
    const packed = this.#slice(next, packedBytes);
    if (packed === undefined) return undefined;
    const bytes = unpackLzf(packed.bytes, bytesCount);
    if (bytes === undefined) throw new RangeError("a compressed string is broken");
    return { bytes, next: packed.next };
  }

  #missing(): Text | undefined {
    this.#needsMore();
    return undefined;
  }

  #slice(from: number, count: number): Text | undefined {
    if (count > STRING_BYTES_MAX) throw new RangeError(`a string of ${count} bytes`);
    const next = from + count;
    if (next <= this.#window.length) return { bytes: this.#window.subarray(from, next), next };
    this.#needs(next);
    return undefined;
  }
}
