// reply-scanner.ts: finds where each reply ends in the bytes a redis-server sends, and keeps it as it came. Pure.
// It walks over lengths and counts only; what is inside is never decoded. The walk remembers where it stopped, so
// a reply in many chunks is walked once.
import { GrowingInput } from "./growing-input.ts";
import { LINE_BYTES_MAX, NESTING_MAX, REPLY_ELEMENTS_MAX, RespError } from "./limits.ts";

const CR = 13;
const LF = 10;
const BULK_BYTES_MAX = 2 ** 32;

/** + - : , ( # _ end with their line; $ = ! carry a length; * ~ > % | carry a count. */
const LINES = "+-:,(#_";
const BULKS = "$=!";
const AGGREGATES = "*~>%|";

/** One walk over one reply. Positions are counted from the reply's first byte. */
class Walk {
  #at = 0;
  #searched = 0;
  /** Elements still to come, one number per open aggregate. */
  #open: number[] = [];

  /** Length of the reply that begins at `start`, or -1 until more bytes come. */
  advance(bytes: Buffer, start: number, end: number): number {
    for (;;) {
      const next = this.#element(bytes, start, end);
      if (next === -1) return -1;
      this.#at = this.#searched = next;
      while (this.#open.length > 0) {
        const left = (this.#open.pop() ?? 0) - 1;
        if (left > 0) {
          this.#open.push(left);
          break;
        }
      }
      if (this.#open.length === 0) return this.#at;
    }
  }

  /** Where the element at the present position ends; an aggregate's header opens it and goes on. */
  #element(bytes: Buffer, start: number, end: number): number {
    for (;;) {
      const lineEnd = this.#lineEnd(bytes, start, end);
      if (lineEnd === -1) return -1;
      const type = String.fromCharCode(bytes[start + this.#at] ?? 0);
      if (LINES.includes(type)) return lineEnd;
      const size = countAt(bytes, start + this.#at, start + lineEnd);
      if (BULKS.includes(type)) {
        if (size < 0) return lineEnd;
        const bulkEnd = lineEnd + size + 2;
        if (start + bulkEnd > end) return -1;
        if (bytes[start + bulkEnd - 2] !== CR || bytes[start + bulkEnd - 1] !== LF) {
          throw new RespError("expected the end of the line after a bulk");
        }
        return bulkEnd;
      }
      if (!AGGREGATES.includes(type)) throw new RespError(`unknown reply type '${type}'`);
      // An attribute precedes the value it belongs to: its pairs and that value are one element together.
      const count = type === "%" ? size * 2 : type === "|" ? size * 2 + 1 : size;
      if (count <= 0) return lineEnd;
      if (this.#open.length >= NESTING_MAX) throw new RespError("reply is nested too deep");
      this.#open.push(count);
      this.#at = this.#searched = lineEnd;
    }
  }

  #lineEnd(bytes: Buffer, start: number, end: number): number {
    const found = bytes.subarray(0, end).indexOf(CR, start + Math.max(this.#searched, this.#at));
    if (found === -1 || found + 1 >= end) {
      this.#searched = Math.max(this.#at, end - start - 1);
      if (end - start - this.#at > LINE_BYTES_MAX) throw new RespError("reply line is too long");
      return -1;
    }
    if (bytes[found + 1] !== LF) throw new RespError("expected the end of the line");
    return found + 2 - start;
  }
}

function countAt(bytes: Buffer, typeAt: number, lineEnd: number): number {
  const text = bytes.toString("latin1", typeAt + 1, lineEnd - 2);
  const type = bytes[typeAt] ?? 0;
  const isBulk = BULKS.includes(String.fromCharCode(type));
  const isKnown = isBulk || AGGREGATES.includes(String.fromCharCode(type));
  if (!isKnown) throw new RespError(`unknown reply type '${String.fromCharCode(type)}'`);
  // Only $-1 and *-1 are nulls.
  if (text === "-1" && (type === 36 || type === 42)) return -1;
  const size = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(size <= (isBulk ? BULK_BYTES_MAX : REPLY_ELEMENTS_MAX))) {
    throw new RespError(isBulk ? "invalid bulk length" : "invalid multibulk length");
  }
  return size;
}

export class ReplyScanner {
  readonly #input = new GrowingInput();
  #walk = new Walk();

  push(chunk: Buffer): void {
    this.#input.push(chunk);
  }

  /** The next whole reply as it came, or undefined until more bytes come. Throws RespError. */
  next(): Buffer | undefined {
    if (this.#input.length === 0) return undefined;
    const length = this.#walk.advance(this.#input.bytes, this.#input.start, this.#input.end);
    if (length === -1) return undefined;
    this.#walk = new Walk();
    return this.#input.take(length);
  }
}

/** The elements of a whole array, set or push reply as slices, or undefined when it is none. */
export function elementsOf(raw: Buffer): Buffer[] | undefined {
  if (raw[0] !== 42 && raw[0] !== 126 && raw[0] !== 62) return undefined;
  let at = raw.indexOf(LF) + 1;
  const count = countAt(raw, 0, at);
  if (count < 0) return undefined;
  const elements: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const length = new Walk().advance(raw, at, raw.length);
    if (length === -1) throw new RespError("reply ends too early");
    elements.push(raw.subarray(at, at + length));
    at += length;
  }
  return elements;
}
