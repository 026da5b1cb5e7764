// crc32.ts: the CRC-32 of zlib, gzip and Ethernet (reflected polynomial 0xEDB88320). Pure.
// Twine's default, and what Red Cluster partitions by. In JavaScript rather than by node:zlib, because keys are
// short: crossing into C++ would cost more than the bytes, and would need a slice of the buffer for each key.
import type { HashFunction } from "./hash-function.ts";

const TABLE = crcTable();

function crcTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    table[byte] = crc;
  }
  return table;
}

/** CRC-32 of the range: "123456789" gives 0xCBF43926. */
export const crc32: HashFunction = (bytes, start, end) => {
  let crc = -1;
  for (let at = start; at < end; at += 1) {
    crc = (TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
};
