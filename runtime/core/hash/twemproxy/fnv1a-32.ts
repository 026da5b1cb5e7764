// fnv1a-32.ts: twemproxy's fnv1a_32. Pure. 32-bit FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): xor, then
// multiply. Bytes from 0x80 are negative.
import { signedByte, type HashFunction } from "../hash-function.ts";

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

export const fnv1aFor32: HashFunction = (bytes, start, end) => {
  let hash = OFFSET_BASIS;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ signedByte(bytes, at), PRIME);
  return hash >>> 0;
};
