// archive-block.ts: one block of a segment: what all partitions wrote within half a second or so. Pure.
//
//   TWINE-BLOCK 1 HEADER-BYTES PAYLOAD-BYTES SHA-256\n  {header as JSON}\n  payload
//
// The payload is the feeds of all partitions, one after the other, compressed and encrypted as the run's head says. The digest is
// of header and payload as they lie there. So a block says whether it is whole without any key, and a segment of several blocks
// is their files behind each other.
import { createHash } from "node:crypto";
import { CUT_CHECK, type Cut } from "../../core/cut.ts";
import * as schema from "../../core/schema.ts";

export interface BlockHeader {
  /** Of its run, from 1 on. */
  readonly block: number;
  /** When it was closed, Unix milliseconds by the archiver's clock: all of it had been received by then. */
  readonly atMs: number;
  /** By partition: it holds the bytes behind `from` up to `to`. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  /** A moment of the whole cluster, which the blocks up to this one hold. */
  readonly cut?: Cut;
}

export interface Block {
  readonly header: BlockHeader;
  readonly payload: Buffer;
}

/** A block that is damaged, cut short, or none at all. */
export class BlockError extends Error {}

const MAGIC = "TWINE-BLOCK 1";
const LINE_BYTES_MAX = 128;
const HEADER_BYTES_MAX = 16 * 1024 * 1024;
/** No archiver holds so much in one block. */
export const PAYLOAD_BYTES_MAX = 512 * 1024 * 1024;

const CHECK = schema.recordOf({
  block: schema.wholeNumber,
  atMs: schema.wholeNumber,
  from: schema.listOf(schema.wholeNumber, 100_000),
  to: schema.listOf(schema.wholeNumber, 100_000),
  cut: schema.orAbsent(CUT_CHECK),
});

export function printBlock(header: BlockHeader, payload: readonly Buffer[]): Buffer {
  const text = Buffer.from(`${JSON.stringify(header)}\n`);
  const hash = createHash("sha256").update(text);
  let bytes = 0;
  for (const part of payload) {
    hash.update(part);
    bytes += part.length;
  }
  const line = `${MAGIC} ${text.length} ${bytes} ${hash.digest("hex")}\n`;
  return Buffer.concat([Buffer.from(line), text, ...payload]);
}

/** The blocks of a segment's bytes, in order. Throws BlockError at the first that is not whole. Holds one block. */
export async function* readBlocks(chunks: AsyncIterable<Buffer>): AsyncGenerator<Block> {
  const reader = new BlockReader();
  for await (const chunk of chunks) yield* reader.push(chunk);
  reader.end();
}

interface Expected {
  readonly headerBytes: number;
  readonly payloadBytes: number;
  readonly sha256: string;
  readonly lineBytes: number;
}

class BlockReader {
  #parts: Buffer[] = [];
  #bytes = 0;
  #expected: Expected | undefined;

  *push(chunk: Buffer): Generator<Block> {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      this.#expected ??= this.#line();
      const expected = this.#expected;
      if (expected === undefined) return;
      const bytes = expected.lineBytes + expected.headerBytes + expected.payloadBytes;
      if (this.#bytes < bytes) return;
      const all = this.#whole();
      this.#parts = [all.subarray(bytes)];
      this.#bytes -= bytes;
      this.#expected = undefined;
      yield blockOf(all.subarray(expected.lineBytes, bytes), expected);
    }
  }

  end(): void {
    if (this.#bytes > 0) throw new BlockError("it ends in the middle of a block");
  }

  #whole(): Buffer {
    const all =
      this.#parts.length === 1 ? (this.#parts[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#parts);
    this.#parts = [all];
    return all;
  }

  #line(): Expected | undefined {
    if (this.#bytes === 0) return undefined;
    const all = this.#whole();
    const end = all.indexOf(10);
    if (end < 0 && all.length < LINE_BYTES_MAX) return undefined;
    const line = all.toString(
      "latin1",
      0,
      Math.min(end < 0 ? LINE_BYTES_MAX : end, LINE_BYTES_MAX),
    );
    const [, header = "", payload = "", sha256 = ""] =
      /^TWINE-BLOCK 1 (\d{1,9}) (\d{1,10}) ([0-9a-f]{64})$/.exec(line) ?? [];
    const [headerBytes, payloadBytes] = [Number(header), Number(payload)];
    if (header === "" || headerBytes > HEADER_BYTES_MAX || payloadBytes > PAYLOAD_BYTES_MAX) {
      throw new BlockError("it holds what is no block");
    }
    return { headerBytes, payloadBytes, sha256, lineBytes: end + 1 };
  }
}

function blockOf(stored: Buffer, { headerBytes, sha256 }: Expected): Block {
  if (createHash("sha256").update(stored).digest("hex") !== sha256) {
    throw new BlockError("a block has another SHA-256 than it says");
  }
  const json = stored.toString("utf8", 0, headerBytes);
  const parsed = schema.parseJson<BlockHeader>(json, CHECK, HEADER_BYTES_MAX);
  if (parsed.kind === "malformed") throw new BlockError(`a block's header: ${parsed.why}`);
  const { from, to } = parsed.value;
  if (from.length !== to.length || from.some((offset, at) => offset > (to[at] ?? -1))) {
    throw new BlockError("a block's offsets do not fit together");
  }
  return { header: parsed.value, payload: stored.subarray(headerBytes) };
}
