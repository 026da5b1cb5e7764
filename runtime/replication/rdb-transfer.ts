// rdb-transfer.ts: what a master sends to a replica that knows nothing yet, up to the end of the RDB. Pure.
//
//   +FULLRESYNC <history> <offset>\r\n
//   \n \n ...                            it still prepares (a sign of life, once a second)
//   $<length>\r\n <length bytes>         from a file: the RDB, nothing after it belongs to it
//   $EOF:<40 characters>\r\n <bytes> <the same 40 characters>
//                                        straight from its memory: the length is not known before the end
//
// The protocol of https://redis.io/docs/latest/commands/psync/ as replication.c of Redis 7.0 speaks it.

import { NodeError, kindOfReply } from "./node-error.ts";

const MARK_LENGTH = 40;
/** A header line is shorter than this; what is longer is no RDB transfer. */
const LINE_LENGTH_MAX = 256;

export type TransferState = "greeting" | "waiting" | "counted" | "marked" | "ended";

/** Takes the bytes after `PSYNC ? -1` as they come and gives the RDB's. Throws NodeError with the kind of the reply. */
export class RdbTransfer {
  #state: TransferState = "greeting";
  #line = Buffer.alloc(0);
  #left = 0;
  #lengthBytes: number | undefined;
  #mark = Buffer.alloc(0);
  /** Bytes that may belong to the closing mark. */
  #tail = Buffer.alloc(0);
  #replicationId = "";
  #offset = 0;

  get state(): TransferState {
    return this.#state;
  }

  /** The history that the RDB lies on, once greeted. */
  get replicationId(): string {
    return this.#replicationId;
  }

  /** Of the RDB, where the master announced it. */
  get lengthBytes(): number | undefined {
    return this.#lengthBytes;
  }

  /** Bytes of that history that the RDB holds. */
  get offset(): number {
    return this.#offset;
  }

  /** The RDB's next bytes, perhaps none. What comes after the RDB is dropped. */
  push(chunk: Buffer): Buffer[] {
    const payload: Buffer[] = [];
    let rest = chunk;
    while (rest.length > 0 && this.#state !== "ended") {
      switch (this.#state) {
        case "greeting":
        case "waiting":
          rest = this.#takeLine(rest);
          break;
        case "counted":
          rest = this.#takeCounted(rest, payload);
          break;
        case "marked":
          this.#takeMarked(rest, payload);
          return payload;
        default:
          this.#state satisfies never;
      }
    }
    return payload;
  }

  #takeLine(chunk: Buffer): Buffer {
    const end = chunk.indexOf(10);
    const part = end < 0 ? chunk : chunk.subarray(0, end);
    this.#line = Buffer.concat([this.#line, part]);
    if (this.#line.length > LINE_LENGTH_MAX) {
      throw new NodeError("protocol", "the master sends something that is no RDB transfer");
    }
    if (end < 0) return Buffer.alloc(0);
    const line = this.#line.toString("latin1").trimEnd();
    this.#line = Buffer.alloc(0);
    // An empty line says that the master is still at it.
    if (line !== "") this.#read(line);
    return chunk.subarray(end + 1);
  }

  #read(line: string): void {
    if (this.#state === "greeting") {
      const [, replicationId, offset] = /^\+FULLRESYNC ([0-9a-f]{40}) (\d+)$/.exec(line) ?? [];
      if (replicationId === undefined) throw unexpected(line, "");
      this.#replicationId = replicationId;
      this.#offset = Number(offset);
      this.#state = "waiting";
      return;
    }
    const [, length, mark] = /^\$(?:(\d+)|EOF:(.{40}))$/.exec(line) ?? [];
    if (mark !== undefined) {
      this.#mark = Buffer.from(mark, "latin1");
      this.#state = "marked";
    } else if (length !== undefined) {
      this.#left = Number(length);
      this.#lengthBytes = this.#left;
      this.#state = this.#left === 0 ? "ended" : "counted";
    } else {
      throw unexpected(line, " instead of an RDB");
    }
  }

  #takeCounted(chunk: Buffer, payload: Buffer[]): Buffer {
    const part = chunk.subarray(0, this.#left);
    payload.push(part);
    this.#left -= part.length;
    if (this.#left === 0) this.#state = "ended";
    return chunk.subarray(part.length);
  }

  /**
   * The mark is random, so it does not occur in the RDB by chance; it ends the transfer wherever it ends a chunk, for
   * the master sends nothing more before the replica has said that it has loaded.
   */
  #takeMarked(chunk: Buffer, payload: Buffer[]): void {
    // Hardly ever is there a tail: what has just come is not copied.
    const all = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk]);
    const kept = markedBytes(all, this.#mark);
    const sure = all.subarray(0, all.length - kept);
    this.#tail = Buffer.from(all.subarray(all.length - kept));
    if (sure.length > 0) payload.push(sure);
    if (this.#tail.equals(this.#mark)) this.#state = "ended";
  }
}

/** How many of the last bytes may be the mark, or its beginning. */
function markedBytes(bytes: Buffer, mark: Buffer): number {
  for (let count = Math.min(bytes.length, MARK_LENGTH); count > 0; count--) {
    const at = bytes.length - count;
    if (bytes[at] === mark[0] && bytes.compare(mark, 0, count, at) === 0) return count;
  }
  return 0;
}

function unexpected(line: string, insteadOf: string): NodeError {
  const kind = line.startsWith("-") ? kindOfReply(line.slice(1)) : "protocol";
  return new NodeError(kind, `the master answers ${line}${insteadOf}`);
}
