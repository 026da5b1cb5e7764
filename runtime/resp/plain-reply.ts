// plain-reply.ts: converts one whole reply into the plain values with which ioredis's commands resolve. Pure.
//
//   $1 CRLF a CRLF -> "a" or <61>      :7 -> 7      *2 ... -> [..]      -ERR x -> the result of `errorOf("ERR x")`
//
// Text is decoded directly if the caller wants text, without a Buffer in between. Bytes are always copied, because the
// memory of the reply is reused after the call.
import { RespError } from "./limits.ts";

/** The shape of values by ioredis's options. */
export interface PlainShape {
  /** `replyMapping: "resp3"`: maps as objects, doubles as numbers, booleans as such. */
  readonly isResp3: boolean;
  /** `stringNumbers`. */
  readonly hasStringNumbers: boolean;
}

const CR = 13;
const ZERO = 48;
const MINUS = 45;
const PLUS = 43;
const VERBATIM_PREFIX_BYTES = 4;

export class PlainReplies {
  readonly #shape: PlainShape;
  readonly #errorOf: (text: string) => Error;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #isText = false;

  constructor(shape: PlainShape, errorOf: (text: string) => Error) {
    this.#shape = shape;
    this.#errorOf = errorOf;
  }

  /** The value of the whole reply that begins at `start`. With `isText` strings are UTF-8 text, else Buffers with their
      own memory. An error reply becomes the result of `errorOf`. */
  decode(bytes: Buffer, start: number, isText: boolean): unknown {
    this.#bytes = bytes;
    this.#at = start;
    this.#isText = isText;
    return this.#value();
  }

  #value(): unknown {
    switch (this.#bytes[this.#at++]) {
      case 36: // $
        return this.#bulk(0);
      case 58: // :
        return this.#shape.hasStringNumbers ? this.#line() : this.#integer();
      case 43: // +
        return this.#string(this.#lineStart(), this.#at - 2);
      case 42: // *
      case 62: // >
      case 126: // ~
        return this.#array(1);
      case 37: // %
        return this.#shape.isResp3 ? this.#object() : this.#array(2);
      case 95: // _
        this.#at += 2;
        return null;
      case 45: // -
        return this.#errorOf(this.#line("utf8"));
      case 33: // !
        return this.#errorOf(this.#blobError());
      case 44: // ,
        return this.#double();
      case 35: // #
        return this.#boolean();
      case 40: // (
        return this.#line();
      case 61: // =
        return this.#bulk(VERBATIM_PREFIX_BYTES);
      default:
        throw new RespError(`unknown type of reply at byte ${this.#at - 1}`);
    }
  }

  /** Skips the line; returns its start. */
  #lineStart(): number {
    const start = this.#at;
    let at = start;
    while (this.#bytes[at] !== CR) {
      if (at >= this.#bytes.length) throw new RespError("a reply ends in the middle of a line");
      at++;
    }
    this.#at = at + 2;
    return start;
  }

  #line(encoding: "latin1" | "utf8" = "latin1"): string {
    const start = this.#lineStart();
    return this.#bytes.toString(encoding, start, this.#at - 2);
  }

  #integer(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    const isNegative = bytes[at] === MINUS;
    if (isNegative || bytes[at] === PLUS) at++;
    let value = 0;
    for (let digit = bytes[at] ?? CR; digit !== CR; digit = bytes[++at] ?? CR) {
      value = value * 10 + digit - ZERO;
    }
    this.#at = at + 2;
    return isNegative ? -value : value;
  }

  #string(start: number, end: number): string | Buffer {
    if (this.#isText) return this.#bytes.toString("utf8", start, end);
    return Buffer.from(this.#bytes.subarray(start, end));
  }

  #bulk(skip: number): string | Buffer | null {
    const length = this.#integer();
    if (length < 0) return null;
    const start = this.#at;
    this.#at = start + length + 2;
    return this.#string(start + skip, start + length);
  }

  #blobError(): string {
    const length = this.#integer();
    const start = this.#at;
    this.#at = start + length + 2;
    return this.#bytes.toString("utf8", start, start + length);
  }

  #array(valuesPerItem: 1 | 2): unknown[] | null {
    const count = this.#integer();
    if (count < 0) return null;
    const values: unknown[] = [];
    for (let left = count * valuesPerItem; left > 0; left--) values.push(this.#value());
    return values;
  }

  /** Names are always text. */
  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    const isText = this.#isText;
    for (let left = this.#integer(); left > 0; left--) {
      this.#isText = true;
      const name = String(this.#value());
      this.#isText = isText;
      const value = this.#value();
      // Assigning __proto__ would change the object's prototype.
      Object.defineProperty(object, name, {
        ...{ value, configurable: true, enumerable: true, writable: true },
      });
    }
    return object;
  }

  #double(): unknown {
    const { isResp3, hasStringNumbers } = this.#shape;
    const start = this.#lineStart();
    if (!isResp3 && !hasStringNumbers) return this.#string(start, this.#at - 2);
    const text = this.#bytes.toString("latin1", start, this.#at - 2);
    if (hasStringNumbers) return text;
    if (text === "inf") return Number.POSITIVE_INFINITY;
    if (text === "-inf") return Number.NEGATIVE_INFINITY;
    return Number(text);
  }

  #boolean(): boolean | number {
    const isTrue = this.#bytes[this.#at] === 116;
    this.#at += 3;
    return this.#shape.isResp3 ? isTrue : Number(isTrue);
  }
}
