// crc32a.ts: twemproxy's crc32a. Pure. It is zlib's CRC-32, so `hash: crc32a` with `distribution: modula` places keys as
// Twine's default does.
import { crc32 } from "../crc32.ts";
import type { HashFunction } from "../hash-function.ts";

export const twemproxyCrc32a: HashFunction = crc32;
