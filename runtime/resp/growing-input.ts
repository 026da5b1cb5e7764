// growing-input.ts: received bytes that are not used up yet, in one piece. Pure.
//
//   bytes: [ used, handed out as slices | start … unused … end | spare room ]
//
// Invariant: bytes before `end` are never written again, so slices handed out stay true for as long as they are kept.
// A chunk that arrives when nothing is left over is taken as it is, without a copy; otherwise room doubles, so that
// a value in n chunks costs n copies of its bytes at most twice over, and not n times.

const NOTHING = Buffer.alloc(0);

export class GrowingInput {
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** Bytes after `end` are ours to write; false while `bytes` is somebody's chunk. */
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

  /** The chunk memory[from, from + count), whose owner leaves the bytes before it free: what is left over goes there when
      there is room, and the chunk stays where it is. letGo() must come before the owner writes there again. */
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

  /** The chunk that came last is about to be overwritten by its owner, or is not worth being kept for what is left of
      it: what is left moves to memory of its own. */
  letGo(): void {
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

  /** The first `count` unused bytes, which are then used. */
  take(count: number): Buffer {
    const taken = this.bytes.subarray(this.start, this.start + count);
    this.start += count;
    return taken;
  }

  /** Where `needle` is found, counted from `start`; -1 when it has not come. Looks from `from`, counted the same. */
  indexOf(needle: number, from: number): number {
    const found = this.bytes.subarray(0, this.end).indexOf(needle, this.start + from);
    return found === -1 ? -1 : found - this.start;
  }
}
