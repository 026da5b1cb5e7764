// crc32.ts: twemproxy's crc32. Pure. Fifteen bits of the real one, as libmemcached kept them for
// its elders; the whole CRC-32 is what twemproxy calls crc32a.
import { crc32 } from "../crc32.ts";
import type { HashFunction } from "../hash-function.ts";

/** 0..32767. */
export const twemproxyCrc32: HashFunction = (bytes, start, end) =>
  (crc32(bytes, start, end) >>> 16) & 0x7fff;
