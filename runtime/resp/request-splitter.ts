// request-splitter.ts: finds where each command ends in the bytes a client sends, and its arguments as slices. Pure.
//
//   *2 CRLF $3 CRLF GET CRLF $1 CRLF a CRLF *1 ...
//   |---------------- raw ---------------| next
//
// Nothing is decoded or copied: `raw` can be forwarded as it came. It is stricter than Redis about numbers and line
// ends, so that a request it lets through is one that Redis reads in the same way.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
import { encodeCommand } from "./encode.ts";
import { GrowingInput } from "./growing-input.ts";
import { splitInline } from "./inline.ts";
import {
  LINE_BYTES_MAX,
  REQUEST_LIMITS,
  RespError,
  UNAUTHENTICATED_LIMITS,
  type RequestLimits,
} from "./limits.ts";

export interface Request {
  /** The command as it came; an inline command re-encoded as an array. */
  readonly raw: Buffer;
  /** At least one: the command's name and its arguments. */
  readonly args: readonly Buffer[];
}

const CR = 13;
const LF = 10;
const STAR = 42;
const DOLLAR = 36;
/** Longer than any header with a number in it that is allowed. */
const HEADER_BYTES_MAX = 32;
const NOT_YET = -1;

export class RequestSplitter {
  limits: RequestLimits = REQUEST_LIMITS;
  readonly #input = new GrowingInput();
  /** Position counted from the start of the present request. */
  #at = 0;
  /** How far a line's end was looked for, counted the same. */
  #searched = 0;
  /** Arguments of the present request still to come; 0 between requests. */
  #left = 0;
  /** Length of the bulk that is being waited for, or NOT_YET. */
  #bulkBytes = NOT_YET;
  /** Start and end of each argument, counted from the start of the request. */
  #offsets: number[] = [];

  push(chunk: Buffer): void {
    this.#input.push(chunk);
  }

  /** Bytes received and not yet handed out. */
  get waitingBytes(): number {
    return this.#input.length;
  }

  /** The next whole command, or undefined until more bytes come. Empty commands are skipped as Redis does.
      Throws RespError; the stream is useless after that. */
  next(): Request | undefined {
    for (;;) {
      if (this.#input.length === 0) return undefined;
      const isArray = this.#left > 0 || this.#byte(0) === STAR;
      const request = isArray ? this.#nextArray() : this.#nextInline();
      if (request === "incomplete") return undefined;
      if (request !== "empty") return request;
    }
  }

  #nextArray(): Request | "incomplete" | "empty" {
    if (this.#left === 0) {
      const count = this.#number("invalid multibulk length", "too big mbulk count string");
      if (count === undefined) return "incomplete";
      if (count > this.limits.arrayLength) {
        throw new RespError(this.#tooMuch("invalid multibulk length", "multibulk length"));
      }
      if (count <= 0) {
        this.#finish();
        return "empty";
      }
      this.#left = count;
    }
    while (this.#left > 0) if (!this.#readBulk()) return "incomplete";
    const offsets = this.#offsets;
    const raw = this.#finish();
    const args: Buffer[] = [];
    for (let index = 0; index < offsets.length; index += 2) {
      args.push(raw.subarray(offsets[index], offsets[index + 1]));
    }
    return { raw, args };
  }

  /** One argument; false until it has come whole. */
  #readBulk(): boolean {
    if (this.#bulkBytes === NOT_YET) {
      if (this.#at >= this.#input.length) return false;
      const type = this.#byte(this.#at);
      if (type !== DOLLAR) {
        throw new RespError(`expected '$', got '${String.fromCharCode(type)}'`);
      }
      const length = this.#number("invalid bulk length", "too big bulk count string");
      if (length === undefined) return false;
      if (length < 0) throw new RespError("invalid bulk length");
      if (length > this.limits.bulkBytes) {
        throw new RespError(this.#tooMuch("invalid bulk length", "bulk length"));
      }
      this.#bulkBytes = length;
    }
    const end = this.#at + this.#bulkBytes;
    if (this.#input.length < end + 2) return false;
    if (this.#byte(end) !== CR || this.#byte(end + 1) !== LF) {
      throw new RespError("expected the end of the line after a bulk");
    }
    this.#offsets.push(this.#at, end);
    this.#at = this.#searched = end + 2;
    this.#bulkBytes = NOT_YET;
    this.#left--;
    return true;
  }

  /** Reads `T123 CRLF` at the present position, after its type byte. Undefined until the line has come. */
  #number(invalid: string, tooLong: string): number | undefined {
    const end = this.#input.indexOf(CR, Math.max(this.#searched, this.#at));
    if (end === -1 || end + 1 >= this.#input.length) {
      if (this.#input.length - this.#at > HEADER_BYTES_MAX) throw new RespError(tooLong);
      return undefined;
    }
    const start = this.#input.start + this.#at + 1;
    const text = this.#input.bytes.toString("latin1", start, this.#input.start + end);
    if (this.#byte(end + 1) !== LF || !/^(0|-1|[1-9]\d{0,9})$/.test(text)) {
      throw new RespError(invalid);
    }
    this.#at = this.#searched = end + 2;
    return Number(text);
  }

  #nextInline(): Request | "incomplete" | "empty" {
    const end = this.#input.indexOf(LF, this.#searched);
    if (end === -1) {
      this.#searched = this.#input.length;
      if (this.#searched > LINE_BYTES_MAX) throw new RespError("too big inline request");
      return "incomplete";
    }
    this.#at = end + 1;
    const line = this.#finish().subarray(0, end);
    const args = splitInline(line.at(-1) === CR ? line.subarray(0, -1) : line);
    if (args.length === 0) return "empty";
    return { raw: encodeCommand(args), args };
  }

  #finish(): Buffer {
    const raw = this.#input.take(this.#at);
    this.#at = this.#searched = this.#left = 0;
    this.#offsets = [];
    return raw;
  }

  #byte(at: number): number {
    return this.#input.bytes[this.#input.start + at] ?? 0;
  }

  #tooMuch(usual: string, what: string): string {
    return this.limits === UNAUTHENTICATED_LIMITS ? `unauthenticated ${what}` : usual;
  }
}
