// crc32.ts: the CRC-32 of zlib, gzip and Ethernet (reflected polynomial 0xEDB88320). Pure. Twine's
// default, and what Red Cluster partitions by. In JavaScript rather than by node:zlib, because
// keys are short: crossing into C++ would cost more than the bytes, and would need a slice of the
// buffer for each key.
//
// Four bytes at a time ("slicing by four", Kounavis and Berry 2005): byte by byte each table
// lookup waits for the one before it, while the four lookups of a word are independent of each
// other.
import { littleEndian32, type HashFunction } from "./hash-function.ts";

/**
 * Four tables of 256 behind each other: the n-th tells what a byte becomes after n further zero
 * bytes.
 */
const TABLES = crcTables();

function crcTables(): Int32Array {
  const tables = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const crc = tables[at - 256] ?? 0;
    tables[at] = (crc >>> 8) ^ (tables[crc & 0xff] ?? 0);
  }
  return tables;
}

/** CRC-32 of the range: "123456789" gives 0xCBF43926. */
export const crc32: HashFunction = (bytes, start, end) => {
  let crc = -1;
  let at = start;
  for (const lastWord = end - 4; at <= lastWord; at += 4) {
    const word = crc ^ littleEndian32(bytes, at);
    crc =
      (TABLES[768 + (word & 0xff)] ?? 0) ^
      (TABLES[512 + ((word >>> 8) & 0xff)] ?? 0) ^
      (TABLES[256 + ((word >>> 16) & 0xff)] ?? 0) ^
      (TABLES[word >>> 24] ?? 0);
  }
  for (; at < end; at += 1) {
    crc = (TABLES[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
};
