// command-writer.ts: writes commands as bytes into memory that is reused. Pure.
//
//   write("set", ["a", <31>])  ->  bytes[0, end) = *3 CRLF $3 CRLF set CRLF $1 CRLF a CRLF $1 CRLF 1 CRLF
//
// Most arguments are short ASCII texts. They are written character by character, which is faster than a call into native
// code, and their length is known in advance.

const CR = 13;
const LF = 10;
const STAR = 42;
const DOLLAR = 36;
const ZERO = 48;
const ASCII_END = 0x80;
const LOOP_CHARS_MAX = 40;
/** A type byte, a number and CRLF. */
const HEADER_BYTES_MAX = 24;
/** Larger memory is released after the command that needed it. */
const KEPT_BYTES_MAX = 256 * 1024;
/** A UTF-16 unit has at most this many bytes in UTF-8. */
const UTF8_BYTES_MAX = 3;

export type CommandArgument = string | Buffer;

export class CommandWriter {
  /** The command is in bytes[0, end) until the next write. */
  bytes: Buffer = Buffer.allocUnsafeSlow(4096);
  end = 0;

  /** Writes a command over the previous one. Returns its length. */
  write(name: string, args: readonly CommandArgument[]): number {
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = Buffer.allocUnsafeSlow(4096);
    this.end = 0;
    this.#reserve(HEADER_BYTES_MAX);
    this.#number(STAR, args.length + 1);
    this.#text(name);
    for (const arg of args) {
      if (typeof arg === "string") this.#text(arg);
      else this.#copy(arg);
    }
    return this.end;
  }

  /** The command in its own memory. */
  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.end));
  }

  #text(text: string): void {
    const { length } = text;
    if (length > LOOP_CHARS_MAX) {
      this.#longText(text);
      return;
    }
    this.#reserve(length + HEADER_BYTES_MAX);
    const before = this.end;
    this.#number(DOLLAR, length);
    const { bytes } = this;
    let at = this.end;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code >= ASCII_END) {
        this.end = before;
        this.#longText(text);
        return;
      }
      bytes[at++] = code;
    }
    bytes[at] = CR;
    bytes[at + 1] = LF;
    this.end = at + 2;
  }

  #longText(text: string): void {
    this.#reserve(text.length * UTF8_BYTES_MAX + HEADER_BYTES_MAX);
    this.#number(DOLLAR, Buffer.byteLength(text));
    this.end += this.bytes.write(text, this.end, "utf8");
    this.#lineEnd();
  }

  #copy(arg: Buffer): void {
    this.#reserve(arg.length + HEADER_BYTES_MAX);
    this.#number(DOLLAR, arg.length);
    arg.copy(this.bytes, this.end);
    this.end += arg.length;
    this.#lineEnd();
  }

  /** Reserves room for this many bytes and CRLF. */
  #reserve(more: number): void {
    const needed = this.end + more + 2;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.end);
    this.bytes = grown;
  }

  #number(type: number, value: number): void {
    const { bytes } = this;
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    bytes[this.end] = type;
    let rest = value;
    for (let at = this.end + digits; at > this.end; at--) {
      bytes[at] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.end += digits + 1;
    this.#lineEnd();
  }

  #lineEnd(): void {
    this.bytes[this.end] = CR;
    this.bytes[this.end + 1] = LF;
    this.end += 2;
  }
}
