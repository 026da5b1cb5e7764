// md5.ts: twemproxy's md5. Pure. The first four bytes of the MD5 digest (RFC 1321), lowest first.
// Implemented here because node:crypto creates a hash object and a buffer for every key (several times slower for keys of
// usual length) and has no MD5 in FIPS mode.
//
//   key | 0x80 | zeros | length in bits     in blocks of 16 words, each mixed into the registers
import { littleEndian32, type HashFunction } from "../hash-function.ts";

/** RFC 1321, 3.4: the integer part of 4294967296 times abs(sin(step)), step in radians. */
const SINES = Int32Array.from({ length: 64 }, (_, step) =>
  Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32),
);

/** The left rotation of each step: four amounts per round, repeated. */
const TURNS = Uint8Array.from(
  [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
  ].flatMap((round) => [...round, ...round, ...round, ...round]),
);

const INITIAL = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);

// Reused for every key: the function is synchronous, so two keys never use them at the same time.
const registers = new Int32Array(4);
const block = new Int32Array(16);
const lastBytes = new Uint8Array(128);

export const md5: HashFunction = (bytes, start, end) => {
  registers.set(INITIAL);
  let at = start;
  for (; end - at >= 64; at += 64) stirBlock(bytes, at);
  const rest = end - at;
  const padded = rest < 56 ? 64 : 128;
  lastBytes.fill(0, rest, padded);
  for (let from = 0; from < rest; from += 1) lastBytes[from] = bytes[at + from] ?? 0;
  lastBytes[rest] = 0x80;
  writeBitLength(end - start, padded - 8);
  for (let from = 0; from < padded; from += 64) stirBlock(lastBytes, from);
  return (registers[0] ?? 0) >>> 0;
};

/** As 40 bits, lowest byte first: enough for any key that Redis accepts (512 MB). */
function writeBitLength(length: number, at: number): void {
  lastBytes[at] = length << 3;
  lastBytes[at + 1] = length >>> 5;
  lastBytes[at + 2] = length >>> 13;
  lastBytes[at + 3] = length >>> 21;
  lastBytes[at + 4] = length >>> 29;
}

function stirBlock(bytes: Uint8Array, at: number): void {
  for (let word = 0; word < 16; word += 1) block[word] = littleEndian32(bytes, at + word * 4);
  let a = registers[0] ?? 0;
  let b = registers[1] ?? 0;
  let c = registers[2] ?? 0;
  let d = registers[3] ?? 0;
  for (let step = 0; step < 64; step += 1) {
    let mixed: number;
    let word: number;
    if (step < 16) {
      mixed = (b & c) | (~b & d);
      word = step;
    } else if (step < 32) {
      mixed = (d & b) | (~d & c);
      word = 5 * step + 1;
    } else if (step < 48) {
      mixed = b ^ c ^ d;
      word = 3 * step + 5;
    } else {
      mixed = c ^ (b | ~d);
      word = 7 * step;
    }
    const sum = (a + mixed + (SINES[step] ?? 0) + (block[word & 15] ?? 0)) | 0;
    const turn = TURNS[step] ?? 0;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << turn) | (sum >>> (32 - turn)))) | 0;
  }
  registers[0] = (registers[0] ?? 0) + a;
  registers[1] = (registers[1] ?? 0) + b;
  registers[2] = (registers[2] ?? 0) + c;
  registers[3] = (registers[3] ?? 0) + d;
}
