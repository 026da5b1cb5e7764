// one-at-a-time.ts: twemproxy's one_at_a_time. Pure. Bob Jenkins' hash of that name,
// https://www.burtleburtle.net/bob/hash/doobs.html. Bytes from 0x80 are negative.
import { signedByte, type HashFunction } from "../hash-function.ts";

export const oneAtATime: HashFunction = (bytes, start, end) => {
  let hash = 0;
  for (let at = start; at < end; at += 1) {
    hash = (hash + signedByte(bytes, at)) | 0;
    hash = (hash + (hash << 10)) | 0;
    hash ^= hash >>> 6;
  }
  hash = (hash + (hash << 3)) | 0;
  hash ^= hash >>> 11;
  return (hash + (hash << 15)) >>> 0;
};
