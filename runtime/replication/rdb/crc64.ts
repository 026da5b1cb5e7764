// crc64.ts: the checksum at the end of an RDB: CRC-64 with the Jones polynomial, bits reversed, from 0. Pure.
// Eight bytes a step by eight tables (slicing-by-8), each in two halves, because numbers of 64 bits are slow in JavaScript.

const POLYNOMIAL_LOW = 0xac4bc9b5;
const POLYNOMIAL_HIGH = 0x95ac9329;
const SLICES = 8;

const [LOW, HIGH] = tables();

function tables(): [Int32Array, Int32Array] {
  const low = new Int32Array(SLICES * 256);
  const high = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let l = byte;
    let h = 0;
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (l & 1) === 1;
      l = ((l >>> 1) | (h << 31)) >>> 0;
      h >>>= 1;
      if (isOdd) {
        l = (l ^ POLYNOMIAL_LOW) >>> 0;
        h = (h ^ POLYNOMIAL_HIGH) >>> 0;
      }
    }
    low[byte] = l;
    high[byte] = h;
  }
  for (let at = 256; at < SLICES * 256; at++) {
    const l = low[at - 256] ?? 0;
    const h = high[at - 256] ?? 0;
    const first = l & 0xff;
    low[at] = ((l >>> 8) | (h << 24)) ^ (low[first] ?? 0);
    high[at] = (h >>> 8) ^ (high[first] ?? 0);
  }
  return [low, high];
}

export class Crc64 {
  #low = 0;
  #high = 0;

  update(bytes: Uint8Array, from = 0, to = bytes.length): void {
    let at = from;
    // Words are read where they lie, so the first bytes up to a word's boundary go one by one.
    while (at < to && (bytes.byteOffset + at) % 4 !== 0) at = this.#byte(bytes, at);
    const wordCount = ((to - at) >> 3) * 2;
    if (wordCount > 0) this.#words(new Int32Array(bytes.buffer, bytes.byteOffset + at, wordCount));
    at += wordCount * 4;
    while (at < to) at = this.#byte(bytes, at);
  }

  /** As an RDB ends with it: eight bytes, the lowest first. */
  digest(): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32LE(this.#low, 0);
    bytes.writeInt32LE(this.#high, 4);
    return bytes;
  }

  #byte(bytes: Uint8Array, at: number): number {
    const first = (this.#low ^ (bytes[at] ?? 0)) & 0xff;
    this.#low = ((this.#low >>> 8) | (this.#high << 24)) ^ (LOW[first] ?? 0);
    this.#high = (this.#high >>> 8) ^ (HIGH[first] ?? 0);
    return at + 1;
  }

  /** Two words a step; `words` has an even number of them, in the order of this machine: the lowest byte first. */
  #words(words: Int32Array): void {
    let low = this.#low;
    let high = this.#high;
    for (let at = 0; at < words.length; at += 2) {
      low ^= words[at] ?? 0;
      high ^= words[at + 1] ?? 0;
      const a = 1792 + (low & 0xff);
      const b = 1536 + ((low >>> 8) & 0xff);
      const c = 1280 + ((low >>> 16) & 0xff);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 0xff);
      const f = 512 + ((high >>> 8) & 0xff);
      const g = 256 + ((high >>> 16) & 0xff);
      const h = high >>> 24;
      low =
        (LOW[a] ?? 0) ^
        (LOW[b] ?? 0) ^
        (LOW[c] ?? 0) ^
        (LOW[d] ?? 0) ^
        (LOW[e] ?? 0) ^
        (LOW[f] ?? 0) ^
        (LOW[g] ?? 0) ^
        (LOW[h] ?? 0);
      high =
        (HIGH[a] ?? 0) ^
        (HIGH[b] ?? 0) ^
        (HIGH[c] ?? 0) ^
        (HIGH[d] ?? 0) ^
        (HIGH[e] ?? 0) ^
        (HIGH[f] ?? 0) ^
        (HIGH[g] ?? 0) ^
        (HIGH[h] ?? 0);
    }
    this.#low = low;
    this.#high = high;
  }
}
