// request-splitter.ts: finds the end of each command and its arguments in the bytes of a client. Pure.
//
//   *2 CRLF $3 CRLF GET CRLF $1 CRLF a CRLF *1 ...
//   |               |  |            | |
//   rawStart        offsets[0,1]    offsets[2,3], counted from rawStart; rawEnd is the start of the next command
//
// advance() only moves numbers: nothing is decoded, copied or allocated, because a router forwards most commands
// unchanged. request() copies the present command into objects. The parser is stricter than Redis about numbers and line
// ends, so that Redis parses every accepted request in the same way.
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
  /** The command as received; an inline command is encoded as an array. */
  readonly raw: Buffer;
  /** The command's name and its arguments; at least one element. */
  readonly args: readonly Buffer[];
}

const NOTHING = Buffer.alloc(0);
const CR = 13;
const LF = 10;
const STAR = 42;
const DOLLAR = 36;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;
const DIGITS_MAX = 10;
const NOT_YET = -2;
const BAD = -3;
/** Enough for 16 arguments; it grows if necessary. */
const OFFSETS_MIN = 32;
/** A larger array of offsets is released after the command. */
const OFFSETS_KEPT = 2048;
/** No limit on whole commands is lower. */
const SMALL_BYTES = 4096;

export class RequestSplitter {
  limits: RequestLimits = REQUEST_LIMITS;
  /** The memory of the present command, and its arguments as pairs of start and end, counted from `rawStart`. Valid from
      advance() until the next call of any method. */
  source: Buffer = NOTHING;
  rawStart = 0;
  rawEnd = 0;
  count = 0;
  offsets = new Int32Array(OFFSETS_MIN);
  readonly #input = new GrowingInput();
  /** The position, counted from the start of the present request. */
  #at = 0;
  /** The position up to which the end of an inline command was searched. */
  #searched = 0;
  /** Outstanding arguments of the present request; 0 between requests. */
  #left = 0;
  /** The length of the bulk that is being received, or NOT_YET. */
  #bulkBytes = NOT_YET;
  #found = 0;

  push(chunk: Buffer): void {
    this.#input.push(chunk);
  }

  /** Bytes that were received and not consumed. */
  get waitingBytes(): number {
    return this.#input.length;
  }

  /** Releases the last chunk, so that a few left-over bytes do not keep a large chunk alive. */
  release(): void {
    this.#input.release();
    this.source = NOTHING;
  }

  /** The next whole command, or undefined if more bytes are needed. Empty commands are skipped, as in Redis. Throws
      RespError; then the stream can't be used any more. */
  next(): Request | undefined {
    return this.advance() ? this.request() : undefined;
  }

  /** The present command as objects with their own memory, because received bytes may be overwritten soon. */
  request(): Request {
    const raw = Buffer.from(this.source.subarray(this.rawStart, this.rawEnd));
    const args: Buffer[] = [];
    for (let index = 0; index < this.count * 2; index += 2) {
      args.push(raw.subarray(this.offsets[index], this.offsets[index + 1]));
    }
    return { raw, args };
  }

  /** Moves to the next whole command; false if more bytes are needed. Throws as next() does. */
  advance(): boolean {
    const input = this.#input;
    for (;;) {
      if (input.start === input.end) return false;
      const isArray = this.#left > 0 || input.bytes[input.start] === STAR;
      if (!isArray) {
        const found = this.#nextInline();
        if (found === "empty") continue;
        return found === "whole";
      }
      if (this.#left === 0 && !this.#readCount()) return false;
      // `*0` and `*-1` are empty commands.
      if (this.#left === 0) continue;
      if (!this.#readBulks()) return false;
      this.source = input.bytes;
      this.rawStart = input.start;
      input.start += this.#at;
      this.rawEnd = input.start;
      this.count = this.#found;
      this.#at = this.#searched = this.#found = 0;
      return true;
    }
  }

  /** Reads the header of an array; false if it is incomplete. An empty command is skipped. */
  #readCount(): boolean {
    const input = this.#input;
    const number = this.#number(input.bytes, input.start + 1, input.end);
    if (number === NOT_YET) return false;
    if (number === BAD) throw new RespError("invalid multibulk length");
    if (number > this.limits.arrayLength) {
      throw new RespError(this.#tooMuch("invalid multibulk length", "multibulk length"));
    }
    if (number <= 0) {
      input.start += this.#at;
      this.#at = 0;
      return true;
    }
    this.#left = number;
    const room = this.offsets.length;
    const isOversized = room > OFFSETS_KEPT && number * 2 <= OFFSETS_KEPT;
    // The array grows with the received arguments, not with the announced count, which costs a client nothing.
    if (isOversized) this.offsets = new Int32Array(OFFSETS_MIN);
    return true;
  }

  get #commandBytesMax(): number {
    return this.limits.commandBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Reads the received arguments; false until the last one has arrived. */
  #readBulks(): boolean {
    const { bytes, start, end } = this.#input;
    while (this.#left > 0) {
      if (this.#bulkBytes === NOT_YET) {
        const typeAt = start + this.#at;
        if (typeAt >= end) return false;
        if (bytes[typeAt] !== DOLLAR) {
          const type = String.fromCharCode(bytes[typeAt] ?? 0);
          throw new RespError(`expected '$', got '${type}'`);
        }
        const length = this.#number(bytes, typeAt + 1, end);
        if (length === NOT_YET) return false;
        if (length < 0) throw new RespError("invalid bulk length");
        if (length > this.limits.bulkBytes) {
          throw new RespError(this.#tooMuch("invalid bulk length", "bulk length"));
        }
        // Uses the announced length, so that a command that is too long is rejected before it arrives.
        const wholeBytes = this.#at + length;
        if (wholeBytes > SMALL_BYTES && wholeBytes > this.#commandBytesMax) {
          throw new RespError("too big command");
        }
        this.#bulkBytes = length;
      }
      const bulkEnd = this.#at + this.#bulkBytes;
      const lineEnd = start + bulkEnd;
      if (lineEnd + 2 > end) return false;
      if (bytes[lineEnd] !== CR || bytes[lineEnd + 1] !== LF) {
        throw new RespError("expected the end of the line after a bulk");
      }
      this.#keep(this.#at, bulkEnd);
      this.#at = bulkEnd + 2;
      this.#bulkBytes = NOT_YET;
      this.#left--;
    }
    return true;
  }

  #keep(from: number, to: number): void {
    const index = this.#found * 2;
    if (index + 2 > this.offsets.length) {
      const grown = new Int32Array(this.offsets.length * 2);
      grown.set(this.offsets);
      this.offsets = grown;
    }
    this.offsets[index] = from;
    this.offsets[index + 1] = to;
    this.#found++;
  }

  /** Reads `123 CRLF` at `at` and moves the position behind it. Returns -1 for a negative number, NOT_YET for an
      incomplete line, or BAD. */
  #number(bytes: Buffer, at: number, end: number): number {
    let value = 0;
    for (let place = at; place < end; place++) {
      const byte = bytes[place] ?? 0;
      if (byte >= ZERO && byte <= NINE) {
        const isLeadingZero = place === at + 1 && value === 0;
        if (isLeadingZero || place - at >= DIGITS_MAX) return BAD;
        value = value * 10 + byte - ZERO;
      } else if (byte === CR && place > at) {
        if (place + 1 >= end) return NOT_YET;
        if (bytes[place + 1] !== LF) return BAD;
        this.#at = place + 2 - this.#input.start;
        return value;
      } else {
        return byte === MINUS && place === at ? this.#negative(bytes, at + 1, end) : BAD;
      }
    }
    return NOT_YET;
  }

  /** The value does not matter: a negative count is an empty command, a negative length is an error. */
  #negative(bytes: Buffer, at: number, end: number): number {
    const number = this.#number(bytes, at, end);
    return number > 0 ? -1 : number === NOT_YET ? NOT_YET : BAD;
  }

  #nextInline(): "whole" | "incomplete" | "empty" {
    const end = this.#input.indexOf(LF, this.#searched);
    if (end === -1) {
      this.#searched = this.#input.length;
      if (this.#searched > LINE_BYTES_MAX) throw new RespError("too big inline request");
      return "incomplete";
    }
    this.#searched = 0;
    const line = this.#input.take(end + 1).subarray(0, end);
    const args = splitInline(line.at(-1) === CR ? line.subarray(0, -1) : line);
    if (args.length === 0) return "empty";
    this.source = encodeCommand(args);
    this.rawStart = 0;
    this.rawEnd = this.source.length;
    this.count = args.length;
    let at = `*${args.length}\r\n`.length;
    args.forEach((arg) => {
      at += `$${arg.length}\r\n`.length;
      this.#keep(at, at + arg.length);
      at += arg.length + 2;
    });
    this.#found = 0;
    return "whole";
  }

  #tooMuch(usual: string, what: string): string {
    return this.limits === UNAUTHENTICATED_LIMITS ? `unauthenticated ${what}` : usual;
  }
}
