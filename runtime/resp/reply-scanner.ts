// reply-scanner.ts: finds the end of each reply in the bytes of a redis-server, without changing it. Pure.
// It reads only lengths and counts: values are never decoded, and nothing is allocated per reply. The walk is resumable,
// so a reply in many chunks is read once.
import { GrowingInput } from "./growing-input.ts";
import {
  PASSED_LINE_BYTES_MAX,
  PASSED_NESTING_MAX,
  REPLY_ELEMENTS_MAX,
  RespError,
} from "./limits.ts";

const CR = 13;
const LF = 10;
const MINUS = 45;
const ZERO = 48;
const DIGITS_MAX = 10;
const BULK_BYTES_MAX = 2 ** 32;

const LINE = 1;
const BULK = 2;
const AGGREGATE = 3;
const MAP = 4;
const ATTRIBUTE = 5;

/** By type byte: + - : , ( # _ end with their line; $ = ! have a length; * ~ > % | have a count. */
const KINDS = new Uint8Array(256);
for (const type of "+-:,(#_") KINDS[type.charCodeAt(0)] = LINE;
for (const type of "$=!") KINDS[type.charCodeAt(0)] = BULK;
for (const type of "*~>") KINDS[type.charCodeAt(0)] = AGGREGATE;
KINDS["%".charCodeAt(0)] = MAP;
KINDS["|".charCodeAt(0)] = ATTRIBUTE;
const DOLLAR = 36;
const STAR = 42;

/** Walks over one reply after the other. Positions count from the reply's first byte. */
class Walk {
  #at = 0;
  #searched = 0;
  /** The number of outstanding elements of each open aggregate; only the first `#depth` numbers are valid. */
  readonly #open: number[] = [];
  #depth = 0;

  /** The length of the reply that begins at `start`, or -1 if more bytes are needed. After a length the next call begins
      the next reply. */
  advance(bytes: Buffer, start: number, end: number): number {
    for (;;) {
      if (this.#depth > 0) this.#skipBulks(bytes, start, end);
      const next = this.#element(bytes, start, end);
      if (next === -1) return -1;
      this.#at = this.#searched = next;
      while (this.#depth > 0) {
        const left = (this.#open[this.#depth - 1] ?? 0) - 1;
        this.#open[this.#depth - 1] = left;
        if (left > 0) break;
        this.#depth--;
      }
      if (this.#depth > 0) continue;
      this.#at = this.#searched = 0;
      return next;
    }
  }

  /** Skips complete plain bulks, except the last element of the innermost aggregate: most of a long reply. All other
      elements, and errors, are left to #element(). */
  #skipBulks(bytes: Buffer, start: number, end: number): void {
    let left = this.#open[this.#depth - 1] ?? 0;
    let at = start + this.#at;
    while (left > 1 && at < end && bytes[at] === DOLLAR) {
      let place = at + 1;
      let size = 0;
      let digit = place < end ? (bytes[place] ?? 0) - ZERO : -1;
      while (digit >= 0 && digit <= 9 && place - at <= DIGITS_MAX) {
        size = size * 10 + digit;
        place++;
        digit = place < end ? (bytes[place] ?? 0) - ZERO : -1;
      }
      const bulkEnd = place + 2 + size;
      const isPlain =
        place > at + 1 &&
        bulkEnd + 2 <= end &&
        bytes[place] === CR &&
        bytes[place + 1] === LF &&
        bytes[bulkEnd] === CR &&
        bytes[bulkEnd + 1] === LF;
      if (!isPlain) break;
      at = bulkEnd + 2;
      left--;
    }
    this.#open[this.#depth - 1] = left;
    if (at > start + this.#at) this.#at = this.#searched = at - start;
  }

  /** The end of the present element. The header of an aggregate opens it and continues with its elements. */
  #element(bytes: Buffer, start: number, end: number): number {
    for (;;) {
      const lineEnd = this.#lineEnd(bytes, start, end);
      if (lineEnd === -1) return -1;
      const typeAt = start + this.#at;
      const kind = KINDS[bytes[typeAt] ?? 0] ?? 0;
      if (kind === LINE) return lineEnd;
      const size = countAt(bytes, typeAt, start + lineEnd);
      if (kind === BULK) {
        if (size < 0) return lineEnd;
        const bulkEnd = lineEnd + size + 2;
        if (start + bulkEnd > end) return -1;
        if (bytes[start + bulkEnd - 2] !== CR || bytes[start + bulkEnd - 1] !== LF) {
          throw new RespError("expected the end of the line after a bulk");
        }
        return bulkEnd;
      }
      // An attribute precedes its value: its pairs and the value count as one element.
      const count = kind === MAP ? size * 2 : kind === ATTRIBUTE ? size * 2 + 1 : size;
      if (count <= 0) return lineEnd;
      if (this.#depth >= PASSED_NESTING_MAX) throw new RespError("reply is nested too deep");
      this.#open[this.#depth++] = count;
      this.#at = this.#searched = lineEnd;
    }
  }

  #lineEnd(bytes: Buffer, start: number, end: number): number {
    const from = start + Math.max(this.#searched, this.#at);
    // Most lines are short: a loop is faster than a call of indexOf.
    let found = from;
    while (found < end && bytes[found] !== CR) found++;
    if (found + 1 >= end) {
      this.#searched = Math.max(this.#at, end - start - 1);
      if (end - start - this.#at > PASSED_LINE_BYTES_MAX)
        throw new RespError("reply line is too long");
      return -1;
    }
    if (bytes[found + 1] !== LF) throw new RespError("expected the end of the line");
    return found + 2 - start;
  }
}

/** The number in the header that begins at `typeAt`; -1 for the nulls `$-1` and `*-1`. Throws RespError. */
function countAt(bytes: Buffer, typeAt: number, lineEnd: number): number {
  const type = bytes[typeAt] ?? 0;
  const kind = KINDS[type] ?? 0;
  if (kind < BULK) throw new RespError(`unknown reply type '${String.fromCharCode(type)}'`);
  const digitsEnd = lineEnd - 2;
  const isNull = digitsEnd === typeAt + 3 && bytes[typeAt + 1] === MINUS;
  if (isNull && bytes[typeAt + 2] === ZERO + 1 && (type === DOLLAR || type === STAR)) return -1;
  let size = 0;
  for (let at = typeAt + 1; at < digitsEnd; at++) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) size = Number.NaN;
    size = size * 10 + digit;
  }
  const digits = digitsEnd - typeAt - 1;
  const isNumber = digits > 0 && digits <= DIGITS_MAX;
  if (!isNumber || !(size <= (kind === BULK ? BULK_BYTES_MAX : REPLY_ELEMENTS_MAX))) {
    throw new RespError(kind === BULK ? "invalid bulk length" : "invalid multibulk length");
  }
  return size;
}

export class ReplyScanner {
  /** The present reply is source[start, end). Valid from advance() until the next call of any method. */
  source: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  readonly #input = new GrowingInput();
  readonly #walk = new Walk();

  push(chunk: Buffer): void {
    this.#input.push(chunk);
  }

  /** As push(), for a chunk with free room before it in its memory (growing-input.ts). */
  pushBehindRoom(memory: Buffer, from: number, count: number): void {
    this.#input.pushBehindRoom(memory, from, count);
  }

  /** Call this before the owner of the last chunk reuses its memory. */
  release(): void {
    this.#input.release();
  }

  /** Moves to the next whole reply; false if more bytes are needed. Throws RespError. */
  advance(): boolean {
    const input = this.#input;
    if (input.start === input.end) return false;
    const length = this.#walk.advance(input.bytes, input.start, input.end);
    if (length === -1) return false;
    this.source = input.bytes;
    this.start = input.start;
    this.end = input.start += length;
    return true;
  }

  /** The next whole reply, unchanged, or undefined if more bytes are needed. Throws RespError. */
  next(): Buffer | undefined {
    return this.advance() ? this.source.subarray(this.start, this.end) : undefined;
  }
}

/** The end of the element that begins at `at` in a whole reply. Throws RespError if it does not end before `end`. */
export function elementEnd(bytes: Buffer, at: number, end: number): number {
  if (bytes[at] === DOLLAR) {
    let lineEnd = at + 1;
    while (lineEnd < end && bytes[lineEnd - 1] !== LF) lineEnd++;
    if (bytes[lineEnd - 1] !== LF) throw new RespError("reply ends too early");
    const size = countAt(bytes, at, lineEnd);
    const bulkEnd = size < 0 ? lineEnd : lineEnd + size + 2;
    if (bulkEnd > end) throw new RespError("reply ends too early");
    return bulkEnd;
  }
  const length = new Walk().advance(bytes, at, end);
  if (length === -1) throw new RespError("reply ends too early");
  return at + length;
}

/** The elements of a whole array, set or push reply as slices; undefined for other types. */
export function elementsOf(raw: Buffer): Buffer[] | undefined {
  if (KINDS[raw[0] ?? 0] !== AGGREGATE) return undefined;
  let at = raw.indexOf(LF) + 1;
  const count = countAt(raw, 0, at);
  if (count < 0) return undefined;
  const elements: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const end = elementEnd(raw, at, raw.length);
    elements.push(raw.subarray(at, end));
    at = end;
  }
  return elements;
}
