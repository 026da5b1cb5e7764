// skip-walk.ts: steps over one value of an RDB in chunks of any size, without decoding it. Pure.
//
// It keeps where it is: a stack of loops, and the bytes left of the string in which a chunk ended. Only a header (at most
// 19 bytes: a length, or the two lengths of a compressed string) has to lie in one piece; advance() stops before it.
import type { Program, Step } from "./rdb-types.ts";

/** A length as RDB writes it, or the number of a special encoding. Read one by readLength(). */
export class LengthReader {
  /** The length, or the encoding when `isEncoded`. */
  value = 0;
  isEncoded = false;
  /** Behind it. */
  next = 0;

  /** False when it does not lie whole in bytes[at, end). Throws RangeError for what is no length. */
  read(bytes: Buffer, at: number, end: number): boolean {
    if (at >= end) return false;
    const first = bytes[at] ?? 0;
    this.isEncoded = false;
    switch (first >> 6) {
      case 0:
        this.value = first & 63;
        this.next = at + 1;
        return true;
      case 1:
        if (at + 2 > end) return false;
        this.value = ((first & 63) << 8) | (bytes[at + 1] ?? 0);
        this.next = at + 2;
        return true;
      case 2:
        return this.#readLong(bytes, at, end, first);
      default:
        this.isEncoded = true;
        this.value = first & 63;
        this.next = at + 1;
        return true;
    }
  }

  #readLong(bytes: Buffer, at: number, end: number, first: number): boolean {
    if (first === 0x80) {
      if (at + 5 > end) return false;
      this.value = bytes.readUInt32BE(at + 1);
      this.next = at + 5;
      return true;
    }
    if (first !== 0x81) throw new RangeError(`${first} begins no length`);
    if (at + 9 > end) return false;
    // Beyond 2^53 it is no length of anything, but may be a number in the place of one, of which nothing depends.
    this.value = bytes.readUInt32BE(at + 1) * 2 ** 32 + bytes.readUInt32BE(at + 5);
    this.next = at + 9;
    return true;
  }
}

const ENCODED_BYTES = [1, 2, 4];
const LZF = 3;
const MODULE_END = 0;
const MODULE_STEPS: Readonly<Record<number, Step>> = {
  1: { kind: "length" },
  2: { kind: "length" },
  3: { kind: "raw", bytes: 4 },
  4: { kind: "raw", bytes: 8 },
  5: { kind: "string" },
};

interface Frame {
  program: Program;
  step: number;
  /** Rounds left, this one included. */
  rounds: number;
}

export class SkipWalk {
  readonly #length = new LengthReader();
  readonly #frames: Frame[] = [];
  #depth = 0;
  #bytesLeft = 0;
  /** Of what a module wrote: read behind its mark. */
  #moduleStep: Step | undefined;

  begin(program: Program): void {
    this.#depth = 0;
    this.#bytesLeft = 0;
    this.#moduleStep = undefined;
    this.#enter(program, 1);
  }

  get isDone(): boolean {
    return this.#depth === 0 && this.#bytesLeft === 0;
  }

  /** Goes as far as bytes[from, end) allow; answers up to where. Throws RangeError for what can't be. */
  advance(bytes: Buffer, from: number, end: number): number {
    let at = from;
    for (;;) {
      if (this.#bytesLeft > 0) {
        const taken = Math.min(this.#bytesLeft, end - at);
        this.#bytesLeft -= taken;
        at += taken;
        if (this.#bytesLeft > 0) return at;
      }
      if (this.#depth === 0) return at;
      const next = this.#step(bytes, at, end);
      if (next === -1) return at;
      at = next;
    }
  }

  #enter(program: Program, rounds: number): void {
    const frame = this.#frames[this.#depth];
    if (frame === undefined) this.#frames.push({ program, step: 0, rounds });
    else {
      frame.program = program;
      frame.step = 0;
      frame.rounds = rounds;
    }
    this.#depth++;
  }

  /** Takes the next step's header; answers where it ends, -1 when it does not lie whole there. */
  #step(bytes: Buffer, at: number, end: number): number {
    const frame = this.#frames[this.#depth - 1];
    if (frame === undefined) return at;
    const step = frame.program[frame.step];
    if (step === undefined) {
      frame.rounds--;
      frame.step = 0;
      if (frame.rounds === 0) this.#depth--;
      return at;
    }
    if (step.kind === "module") return this.#moduleMark(frame, bytes, at, end);
    const next = this.#header(step, bytes, at, end);
    if (next === -1) return -1;
    frame.step++;
    if (step.kind === "loop") {
      const rounds = this.#length.value;
      if (rounds > 0) this.#enter(step.body, rounds);
    }
    return next;
  }

  #header(step: Step, bytes: Buffer, at: number, end: number): number {
    const length = this.#length;
    switch (step.kind) {
      case "raw":
        this.#bytesLeft = step.bytes;
        return at;
      case "string":
        return this.#stringHeader(bytes, at, end);
      case "old-double": {
        if (at >= end) return -1;
        const count = bytes[at] ?? 0;
        this.#bytesLeft = count < 253 ? count : 0;
        return at + 1;
      }
      default:
        if (!length.read(bytes, at, end)) return -1;
        if (length.isEncoded) throw new RangeError("an encoding stands where a length belongs");
        return length.next;
    }
  }

  #stringHeader(bytes: Buffer, at: number, end: number): number {
    const length = this.#length;
    if (!length.read(bytes, at, end)) return -1;
    if (!length.isEncoded) {
      this.#bytesLeft = length.value;
      return length.next;
    }
    const encodedBytes = ENCODED_BYTES[length.value];
    if (encodedBytes !== undefined) {
      this.#bytesLeft = encodedBytes;
      return length.next;
    }
    if (length.value !== LZF) throw new RangeError(`${length.value} is no encoding of a string`);
    if (!length.read(bytes, length.next, end)) return -1;
    const packedBytes = length.value;
    if (!length.read(bytes, length.next, end)) return -1;
    this.#bytesLeft = packedBytes;
    return length.next;
  }

  #moduleMark(frame: Frame, bytes: Buffer, at: number, end: number): number {
    if (this.#moduleStep !== undefined) {
      const next = this.#header(this.#moduleStep, bytes, at, end);
      if (next !== -1) this.#moduleStep = undefined;
      return next;
    }
    const length = this.#length;
    if (!length.read(bytes, at, end)) return -1;
    if (!length.isEncoded && length.value === MODULE_END) frame.step++;
    else {
      this.#moduleStep = length.isEncoded ? undefined : MODULE_STEPS[length.value];
      if (this.#moduleStep === undefined) throw new RangeError("a module's data are broken");
    }
    return length.next;
  }
}
