// murmur.ts: twemproxy's murmur. Pure. Austin Appleby's 32-bit MurmurHash2
// (https://github.com/aappleby/smhasher/wiki/MurmurHash2), with the seed 0xdeadbeef times the length.
import { littleEndian32, type HashFunction } from "../hash-function.ts";

const SEED = 0xdeadbeef;
const MULTIPLIER = 0x5bd1e995;

export const murmur: HashFunction = (bytes, start, end) => {
  const length = end - start;
  const rest = length & 3;
  const restAt = end - rest;
  let hash = Math.imul(SEED, length) ^ length;
  for (let at = start; at < restAt; at += 4) {
    let word = Math.imul(littleEndian32(bytes, at), MULTIPLIER);
    word = Math.imul(word ^ (word >>> 24), MULTIPLIER);
    hash = Math.imul(hash, MULTIPLIER) ^ word;
  }
  if (rest > 0) {
    if (rest === 3) hash ^= (bytes[restAt + 2] ?? 0) << 16;
    if (rest >= 2) hash ^= (bytes[restAt + 1] ?? 0) << 8;
    hash = Math.imul(hash ^ (bytes[restAt] ?? 0), MULTIPLIER);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER);
  return (hash ^ (hash >>> 15)) >>> 0;
};
