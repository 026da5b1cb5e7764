// fnv1a-64.ts: twemproxy's fnv1a_64, its default. Pure. Despite its name it computes in 32 bits, with the lower halves of
// FNV's 64-bit offset basis and prime: xor, then multiply. Bytes from 0x80 are negative.
import { signedByte, type HashFunction } from "../hash-function.ts";

const OFFSET_BASIS_LOW = 0x84222325;
const PRIME_LOW = 0x1b3;

export const fnv1aFor64: HashFunction = (bytes, start, end) => {
  let hash = OFFSET_BASIS_LOW;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ signedByte(bytes, at), PRIME_LOW);
  return hash >>> 0;
};
