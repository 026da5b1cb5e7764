// crc32.ts: the CRC-32 of zlib, gzip and Ethernet (reflected polynomial 0xEDB88320). Pure. Twine's default hash, and the
// hash of Red Cluster.
// Written in JavaScript, not with node:zlib, because keys are short: a call into C++ would take longer than the hash and
// would need a slice of the buffer for each key.
//
// Reads four bytes at a time ("slicing by four", Kounavis and Berry 2005): byte by byte each table lookup depends on the
// previous one, but the four lookups of a word are independent.
import { littleEndian32, type HashFunction } from "./hash-function.ts";

/** Four tables of 256 numbers in one array: table n has the CRC of a byte followed by n zero bytes. */
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
