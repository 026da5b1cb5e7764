// crc16.ts: twemproxy's crc16. Pure. The register of Redis Cluster's CRC-16, but 32 bits wide and never cut to 16: the
// bits shifted out on the left stay in the result. So it is not a CRC-16 and differs from `hash crc16`.
import { CRC16_TABLE } from "../crc16.ts";
import type { HashFunction } from "../hash-function.ts";

export const twemproxyCrc16: HashFunction = (bytes, start, end) => {
  let crc = 0;
  for (let at = start; at < end; at += 1) {
    const index = ((crc >>> 8) ^ (bytes[at] ?? 0)) & 0xff;
    crc = (crc << 8) ^ (CRC16_TABLE[index] ?? 0);
  }
  return crc >>> 0;
};
