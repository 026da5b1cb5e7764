// fnv1-32.ts: twemproxy's fnv1_32. Pure. 32-bit FNV-1 (http://www.isthe.com/chongo/tech/comp/fnv/): multiply, then xor.
// Bytes from 0x80 are negative.
import { signedByte, type HashFunction } from "../hash-function.ts";

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

export const fnv1For32: HashFunction = (bytes, start, end) => {
  let hash = OFFSET_BASIS;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash, PRIME) ^ signedByte(bytes, at);
  return hash >>> 0;
};
