// rdb-end.ts: where an RDB ends that other bytes follow, as before the commands of an append only file. Pure.
//
//   REDIS0011 ... FF  c c c c c c c c  *2 CRLF ...
//                 |   '- CRC-64 of everything before it, little-endian
//                 '- end of the keys
//
// An RDB doesn't say how long it is, and to skip its values one would have to know all their encodings. Its checksum says
// it instead: the end is where eight bytes are the CRC-64 of all before them and those end in FF. Of two such places side by
// side it is the second: a last value that ends in FF, as a listpack does, and whose CRC begins with FF fits already, since
// one FF more only shifts that CRC by a byte. What follows an RDB never begins with the 00 that this takes.
// CRC-64 as Redis has it (src/crc64.c): Jones's polynomial, reflected, from zero; "123456789" gives E9C6D914C4B8D9CA.

const [LOW, HIGH] = crcTables();
const EOF_OPCODE = 0xff;
const CHECKSUM_BYTES = 8;

function crcTables(): readonly [Int32Array, Int32Array] {
  const [low, high] = [new Int32Array(256), new Int32Array(256)];
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n;
    }
    low[byte] = Number(BigInt.asIntN(32, crc));
    high[byte] = Number(BigInt.asIntN(32, crc >> 32n));
  }
  return [low, high];
}

export class RdbEnd {
  #rest: Buffer = Buffer.alloc(0);
  #low = 0;
  #high = 0;
  /** Bytes that the checksum has seen. */
  #seen = 0;

  /** Where it ends, unless the next byte shows that it is one further. */
  #found: number | undefined;

  /** The number of bytes of the RDB, or undefined until its end and one byte more have come. */
  push(chunk: Buffer): number | undefined {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let [low, high] = [this.#low, this.#high];
    const last = bytes.length - CHECKSUM_BYTES;
    let at = 0;
    for (; at < last; at++) {
      const byte = bytes[at] ?? 0;
      const index = (low ^ byte) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ (LOW[index] ?? 0);
      high = (high >>> 8) ^ (HIGH[index] ?? 0);
      const isEnd =
        byte === EOF_OPCODE &&
        bytes.readInt32LE(at + 1) === low &&
        bytes.readInt32LE(at + 5) === high;
      if (isEnd) this.#found = this.#seen + at + 1 + CHECKSUM_BYTES;
      else if (this.#found !== undefined) return this.#found;
    }
    this.#rest = bytes.subarray(at);
    this.#seen += at;
    [this.#low, this.#high] = [low, high];
    return undefined;
  }

  /** The same when nothing follows: undefined when the RDB is not whole. */
  finish(): number | undefined {
    return this.#found;
  }
}
