// growing-input.ts: received bytes that were not consumed yet, as one piece. Pure.
//
//   bytes: [ consumed, returned as slices | start … unconsumed … end | spare room ]
//
// Invariant: bytes before `end` are never overwritten, so returned slices stay valid for as long as they are kept.
// If nothing is left over, a new chunk is used without a copy. Otherwise the memory doubles, so that a value in n chunks
// is copied at most twice, and not n times.

const NOTHING = Buffer.alloc(0);

export class GrowingInput {
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** Whether bytes after `end` may be written; false while `bytes` is the caller's chunk. */
  #hasSpareRoom = false;

  get length(): number {
    return this.end - this.start;
  }

  push(chunk: Buffer): void {
    if (this.start === this.end) {
      this.bytes = chunk;
      this.start = 0;
      this.end = chunk.length;
      this.#hasSpareRoom = false;
      return;
    }
    if (!this.#hasSpareRoom || this.end + chunk.length > this.bytes.length) {
      this.#move(Math.max(this.length + chunk.length, this.length * 2, 1024));
    }
    chunk.copy(this.bytes, this.end);
    this.end += chunk.length;
  }

  /** Adds the chunk memory[from, from + count). Its owner does not use the bytes before `from`: bytes left over are
      copied there if they fit, and the chunk is not moved. Call release() before the owner writes there again. */
  pushBehindRoom(memory: Buffer, from: number, count: number): void {
    const left = this.length;
    if (left > from) {
      this.push(memory.subarray(from, from + count));
      return;
    }
    if (left > 0) this.bytes.copy(memory, from - left, this.start, this.end);
    this.bytes = memory;
    this.start = from - left;
    this.end = from + count;
    this.#hasSpareRoom = false;
  }

  /** Call this before the last chunk's owner overwrites it, or when its memory is too large for the rest. Bytes left over
      are copied into own memory. */
  release(): void {
    if (this.start === this.end) {
      this.bytes = NOTHING;
      this.start = this.end = 0;
      this.#hasSpareRoom = false;
    } else if (!this.#hasSpareRoom) {
      this.#move(Math.max(this.length * 2, 1024));
    }
  }

  #move(roomBytes: number): void {
    const grown = Buffer.allocUnsafeSlow(roomBytes);
    this.bytes.copy(grown, 0, this.start, this.end);
    this.end = this.length;
    this.start = 0;
    this.bytes = grown;
    this.#hasSpareRoom = true;
  }

  /** Consumes and returns the first `count` bytes. */
  take(count: number): Buffer {
    const taken = this.bytes.subarray(this.start, this.start + count);
    this.start += count;
    return taken;
  }

  /** The position of `needle`, counted from `start`; -1 if it has not arrived. The search begins at `from`. */
  indexOf(needle: number, from: number): number {
    const found = this.bytes.subarray(0, this.end).indexOf(needle, this.start + from);
    return found === -1 ? -1 : found - this.start;
  }
}
