// md5.ts: twemproxy's md5. Pure. The first four bytes of the MD5 digest (RFC 1321), the lowest one first.
import { hash } from "node:crypto";
import { littleEndian32, type HashFunction } from "../hash-function.ts";

export const md5: HashFunction = (bytes, start, end) =>
  littleEndian32(hash("md5", bytes.subarray(start, end), "buffer"), 0) >>> 0;
