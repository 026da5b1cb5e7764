// crc32.ts: twemproxy's crc32. Pure. Only 15 bits of the real CRC-32, as in old versions of libmemcached. twemproxy calls
// the whole CRC-32 crc32a.
import { crc32 } from "../crc32.ts";
import type { HashFunction } from "../hash-function.ts";

/** 0..32767. */
export const twemproxyCrc32: HashFunction = (bytes, start, end) =>
  (crc32(bytes, start, end) >>> 16) & 0x7fff;
