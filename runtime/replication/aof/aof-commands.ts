// aof-commands.ts: the commands of an append only file, with the bytes where they begin and end. Pure.
//
//   *3 CRLF $3 CRLF SET CRLF $1 CRLF a CRLF $1 CRLF 1 CRLF   one command
//   #TS:1700000000 CRLF                                      a remark, skipped
//   MULTI ... EXEC                                           one unit: without its EXEC nothing of it counts
//
// https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
import { TwineError } from "../../core/errors.ts";
import { GrowingInput } from "../../resp/growing-input.ts";

/** What is executed together: one command, or those of a transaction. */
export interface AofUnit {
  readonly commands: readonly (readonly Buffer[])[];
  /** Of its first byte, counted from the beginning of the file. */
  readonly at: number;
  /** Of the byte behind it. */
  readonly end: number;
}

const LF = 10;
const STAR = 42;
const DOLLAR = 36;
const HASH = 35;

export class AofCommands {
  readonly #file: string;
  readonly #input = new GrowingInput();
  /** Where the input's first unused byte lies in the file. */
  #at: number;
  #open: { readonly commands: (readonly Buffer[])[]; readonly at: number } | undefined;
  /** Behind the last whole unit: all that a truncated file has to give ends here. */
  wholeEnd: number;

  /** `at`: the first byte of the commands in `file`. */
  constructor(file: string, at: number) {
    this.#file = file;
    this.#at = at;
    this.wholeEnd = at;
  }

  push(chunk: Buffer): void {
    this.#input.push(chunk);
  }

  /** The next whole unit, or undefined until more bytes come. Throws AOF_BROKEN. */
  next(): AofUnit | undefined {
    for (;;) {
      const at = this.#at;
      const args = this.#command();
      if (args === undefined) return undefined;
      const end = this.#at;
      if (args.length > 0) {
        const unit = this.#unitOf(args, at, end);
        if (unit === undefined) continue;
        this.wholeEnd = end;
        return unit;
      }
      // A remark inside a transaction is behind nothing whole.
      if (this.#open === undefined) this.wholeEnd = end;
    }
  }

  #unitOf(args: readonly Buffer[], at: number, end: number): AofUnit | undefined {
    const name = args[0]?.toString("latin1").toLowerCase();
    const open = this.#open;
    if (open === undefined && name === "multi") {
      this.#open = { commands: [], at };
      return undefined;
    }
    if (open === undefined) return { commands: [args], at, end };
    if (name === "multi") throw this.#broken(at - this.#at, "a transaction inside a transaction");
    if (name !== "exec") {
      open.commands.push(args);
      return undefined;
    }
    this.#open = undefined;
    return { ...open, end };
  }

  /** undefined: not whole yet; no arguments: a remark. */
  #command(): readonly Buffer[] | undefined {
    const input = this.#input;
    const bytes = input.bytes.subarray(input.start, input.end);
    const type = bytes[0];
    if (type === undefined) return undefined;
    const lineEnd = bytes.indexOf(LF) + 1;
    if (type === HASH) {
      if (lineEnd > 0) this.#use(lineEnd);
      return lineEnd > 0 ? [] : undefined;
    }
    if (type !== STAR) throw this.#broken(0, "no command begins here");
    const count = this.#number(bytes, 0, lineEnd);
    if (count === undefined) return undefined;
    if (count === 0) throw this.#broken(0, "a command without a name");
    const args: Buffer[] = [];
    let at = lineEnd;
    while (args.length < count) {
      if (bytes[at] === undefined) return undefined;
      if (bytes[at] !== DOLLAR) throw this.#broken(at, "no argument begins here");
      const headEnd = bytes.indexOf(LF, at) + 1;
      const size = this.#number(bytes, at, headEnd);
      if (size === undefined || headEnd + size + 2 > bytes.length) return undefined;
      const end = headEnd + size;
      if (bytes.toString("latin1", end, end + 2) !== "\r\n") {
        throw this.#broken(end, "an argument is longer than it says");
      }
      args.push(bytes.subarray(headEnd, end));
      at = end + 2;
    }
    this.#use(at);
    return args;
  }

  #use(bytes: number): void {
    this.#input.take(bytes);
    this.#at += bytes;
  }

  #number(bytes: Buffer, at: number, lineEnd: number): number | undefined {
    if (lineEnd === 0) {
      if (bytes.length - at > 32) throw this.#broken(at, "no length stands here");
      return undefined;
    }
    const text = bytes.toString("latin1", at + 1, lineEnd - 2);
    if (/^\d{1,10}$/.test(text)) return Number(text);
    throw this.#broken(at, "no length stands here");
  }

  /** `from`: counted from the first unused byte. */
  #broken(from: number, why: string): TwineError {
    return new TwineError({
      code: "AOF_BROKEN",
      message: `${this.#file}, byte ${this.#at + from}: ${why}`,
      remedy: "redis-check-aof says more, and can cut the file there",
    });
  }
}
