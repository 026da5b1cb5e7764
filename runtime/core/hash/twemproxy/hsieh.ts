// hsieh.ts: twemproxy's hsieh. Pure. Paul Hsieh's SuperFastHash (http://www.azillionmonkeys.com/qed/hash.html), started
// from 0, not from the length. Of the bytes after the last full four, the third is negative from 0x80; a single one is
// not.
import { littleEndian16, signedByte, type HashFunction } from "../hash-function.ts";

export const hsieh: HashFunction = (bytes, start, end) => {
  const rest = (end - start) & 3;
  const restAt = end - rest;
  let hash = 0;
  for (let at = start; at < restAt; at += 4) {
    hash = (hash + littleEndian16(bytes, at)) | 0;
    hash = (hash << 16) ^ (littleEndian16(bytes, at + 2) << 11) ^ hash;
    hash = (hash + (hash >>> 11)) | 0;
  }
  if (rest === 3) {
    hash = (hash + littleEndian16(bytes, restAt)) | 0;
    hash ^= hash << 16;
    hash ^= signedByte(bytes, restAt + 2) << 18;
    hash = (hash + (hash >>> 11)) | 0;
  } else if (rest === 2) {
    hash = (hash + littleEndian16(bytes, restAt)) | 0;
    hash ^= hash << 11;
    hash = (hash + (hash >>> 17)) | 0;
  } else if (rest === 1) {
    hash = (hash + (bytes[restAt] ?? 0)) | 0;
    hash ^= hash << 10;
    hash = (hash + (hash >>> 1)) | 0;
  }
  return stir(hash);
};

/** Mixes the last bytes into every bit of the result. */
function stir(unstirred: number): number {
  let hash = unstirred;
  hash ^= hash << 3;
  hash = (hash + (hash >>> 5)) | 0;
  hash ^= hash << 4;
  hash = (hash + (hash >>> 17)) | 0;
  hash ^= hash << 25;
  return (hash + (hash >>> 6)) >>> 0;
}
