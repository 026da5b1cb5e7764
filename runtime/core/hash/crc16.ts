// crc16.ts: the CRC-16 of Redis Cluster, known as XMODEM (polynomial 0x1021, from zero). Pure.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ (appendix A)
import type { HashFunction } from "./hash-function.ts";

/** For each byte: the result of shifting it through the register. twemproxy's crc16 uses this table too. */
export const CRC16_TABLE: Int32Array = crcTable();

function crcTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    }
    table[byte] = crc & 0xffff;
  }
  return table;
}

/** CRC-16 of the range, 0..65535: "123456789" gives 0x31C3. */
export const crc16: HashFunction = (bytes, start, end) => {
  let crc = 0;
  for (let at = start; at < end; at += 1) {
    const index = (crc >>> 8) ^ (bytes[at] ?? 0);
    crc = ((crc << 8) & 0xffff) ^ (CRC16_TABLE[index] ?? 0);
  }
  return crc;
};
