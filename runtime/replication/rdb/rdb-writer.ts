// rdb-writer.ts: one RDB put together from pieces of others; bytes come out as they go in. Pure.
// Its checksum is computed, never left out: eight zero bytes would be taken by Redis for a checksum that is switched off.
import { Crc64 } from "./crc64.ts";
import { OPCODE, type RdbMagic } from "./rdb-types.ts";

/** What a file's first bytes say. */
export interface RdbFormat {
  readonly magic: RdbMagic;
  readonly version: number;
}

export class RdbWriter {
  readonly #crc = new Crc64();
  #db = -1;
  #parts: Buffer[] = [];

  constructor({ magic, version }: RdbFormat) {
    const digits = String(version).padStart(magic === "REDIS" ? 4 : 3, "0");
    this.#parts.push(Buffer.from(`${magic}${digits}`, "latin1"));
  }

  /** Whole items, or more of the present one. */
  add(bytes: Buffer): void {
    this.#parts.push(bytes);
  }

  aux(name: string, value: string): void {
    const [label, content] = [Buffer.from(name, "latin1"), Buffer.from(value, "latin1")];
    this.add(Buffer.from([OPCODE.aux]));
    for (const text of [label, content]) this.#parts.push(lengthOf(text.length), text);
  }

  /** What is added from now on lies in this database. */
  select(db: number): void {
    if (db === this.#db) return;
    this.#db = db;
    this.#parts.push(Buffer.from([OPCODE.selectDb]), lengthOf(db));
  }

  /** The bytes added since the last flush, in one piece. */
  flush(): Buffer {
    const [only] = this.#parts;
    const bytes =
      this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#crc.update(bytes);
    return bytes;
  }

  /** The last bytes: what was not flushed, the end mark and the checksum. */
  end(): Buffer {
    this.add(Buffer.from([OPCODE.end]));
    const bytes = this.flush();
    return Buffer.concat([bytes, this.#crc.digest()]);
  }
}

/** A length as RDB writes it. */
export function lengthOf(length: number): Buffer {
  if (length < 64) return Buffer.from([length]);
  if (length < 16_384) return Buffer.from([0x40 | (length >> 8), length & 0xff]);
  const bytes = Buffer.alloc(5, 0x80);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
