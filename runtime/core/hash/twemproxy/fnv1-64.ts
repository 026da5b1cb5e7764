// fnv1-64.ts: twemproxy's fnv1_64. Pure. The lower half of 64-bit FNV-1. Neither the multiplication nor the xor carries
// anything from the upper half into the lower one, so the lower halves of the offset basis and of the prime
// (0x100000001b3) are enough. Bytes from 0x80 are negative.
import { signedByte, type HashFunction } from "../hash-function.ts";

const OFFSET_BASIS_LOW = 0x84222325;
const PRIME_LOW = 0x1b3;

export const fnv1For64: HashFunction = (bytes, start, end) => {
  let hash = OFFSET_BASIS_LOW;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash, PRIME_LOW) ^ signedByte(bytes, at);
  return hash >>> 0;
};
