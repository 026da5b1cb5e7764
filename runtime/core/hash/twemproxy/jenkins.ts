// jenkins.ts: twemproxy's jenkins. Pure. Bob Jenkins' lookup3, hashlittle()
// (https://www.burtleburtle.net/bob/c/lookup3.c), started from 13.
//
//   bytes: | 12 | 12 | ... | 1..12 |   each block is added to the registers a, b, c as three words;
//            mix  mix        final     mix between blocks, final after the last, never empty one
import { littleEndian32, type HashFunction } from "../hash-function.ts";

const START = 13;
/** Added to the start value, as in lookup3: any number with enough 1 bits would do. */
const ARBITRARY = 0xdeadbeef;

export const jenkins: HashFunction = (bytes, start, end) => {
  let a = (ARBITRARY + (end - start) + START) | 0;
  let b = a;
  let c = a;
  if (start === end) return c >>> 0;
  let at = start;
  for (; end - at > 12; at += 12) {
    a = (a + littleEndian32(bytes, at)) | 0;
    b = (b + littleEndian32(bytes, at + 4)) | 0;
    c = (c + littleEndian32(bytes, at + 8)) | 0;
    a = ((a - c) ^ rotated(c, 4)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotated(a, 6)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotated(b, 8)) | 0;
    b = (b + a) | 0;
    a = ((a - c) ^ rotated(c, 16)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotated(a, 19)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotated(b, 4)) | 0;
    b = (b + a) | 0;
  }
  a = (a + wordWithin(bytes, at, end)) | 0;
  b = (b + wordWithin(bytes, at + 4, end)) | 0;
  c = (c + wordWithin(bytes, at + 8, end)) | 0;
  c = ((c ^ b) - rotated(b, 14)) | 0;
  a = ((a ^ c) - rotated(c, 11)) | 0;
  b = ((b ^ a) - rotated(a, 25)) | 0;
  c = ((c ^ b) - rotated(b, 16)) | 0;
  a = ((a ^ c) - rotated(c, 4)) | 0;
  b = ((b ^ a) - rotated(a, 14)) | 0;
  c = ((c ^ b) - rotated(b, 24)) | 0;
  return c >>> 0;
};

function rotated(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** Four bytes as a word. Bytes at or after `end` count as zero, whatever the buffer contains. */
function wordWithin(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 <= end) return littleEndian32(bytes, at);
  let word = 0;
  for (let from = at; from < end; from += 1) word |= (bytes[from] ?? 0) << ((from - at) * 8);
  return word;
}
