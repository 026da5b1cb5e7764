// split-join.ts: a command with keys in several partitions, on the fast path: it is split by copying ranges of its bytes,
// and the replies are merged by copying ranges of theirs. route/replies/split.ts does the same with objects; it is used
// when a part fails, because it makes the right error.
//
//   *4 MGET a b c   ->  *3 MGET a c  to 0,  *2 MGET b  to 1      each key with its length, unchanged
//   *2 A C, *1 B    ->  *3 A B C
import { OK_REPLY, type Protocol } from "../../resp/encode.ts";
import { elementEnd } from "../../resp/reply-scanner.ts";
import { RequestSplitter } from "../../resp/request-splitter.ts";
import type { FastCommand } from "../../route/commands/fast-commands.ts";
import { mergeReplies, splitCommand, type SplitShape } from "../../route/replies/split.ts";
import { copyBytes } from "../pipelines/copy-bytes.ts";
import type { NodePipelines } from "../pipelines/node-pipelines.ts";
import type { ReplySink, Requester } from "../pipelines/reply-sink.ts";
import type { RouterStats } from "../stats/counters.ts";

const LF = 10;
const CR = 13;
const STAR = 42;
const COLON = 58;
const PLUS = 43;
const ZERO = 48;
/** More than a hundred clients with pipelines of sixteen have in flight. */
const POOLED_MAX = 4096;
const KEPT_BYTES_MAX = 64 * 1024;
const HEADER_BYTES_MAX = 16;

/** For partition functions that can hash a key in place. */
export interface SplitRoute {
  readonly pipelines: NodePipelines;
  readonly partitionOf: (bytes: Uint8Array, start: number, end: number) => number;
  readonly stats: RouterStats;
}

const scratch = Buffer.allocUnsafeSlow(KEPT_BYTES_MAX);
const pool: SplitJoin[] = [];
/** Used while the parts of a command are numbered: its part by partition, from 1; 0 between commands. A search through
    earlier keys would take minutes for some orders of many keys. */
const partsOf: number[] = [];

function scratchOf(bytes: number): Buffer {
  if (bytes > scratch.length) return Buffer.allocUnsafeSlow(bytes);
  return scratch;
}

/** One split command, until its last part has a reply. */
class SplitJoin implements ReplySink {
  #sink: ReplySink | undefined;
  #tag = 0;
  #shape: SplitShape | undefined;
  keyCount = 0;
  partCount = 0;
  /** By key: its partition and its part. */
  keyPartitions = new Int32Array(16);
  keyParts = new Int32Array(16);
  /** By key: the next key of its part, or -1. */
  keyNext = new Int32Array(16);
  /** By part: its number of keys, and its first key. */
  partKeys = new Int32Array(16);
  partFirst = new Int32Array(16);
  #starts = new Int32Array(16);
  #ends = new Int32Array(16);
  /** By part: the start of its next value. */
  #cursors = new Int32Array(16);
  #left = 0;
  /** The command as received, then the replies in order of arrival. */
  #kept = Buffer.allocUnsafeSlow(1024);
  #filled = 0;
  #rawEnd = 0;

  get owner(): Requester {
    return this.#sink?.owner ?? this;
  }

  get isGone(): boolean {
    return this.#sink?.isGone ?? true;
  }

  makeRoom(keys: number): void {
    if (keys <= this.keyParts.length) return;
    this.keyPartitions = new Int32Array(keys);
    this.keyParts = new Int32Array(keys);
    this.keyNext = new Int32Array(keys);
    this.partKeys = new Int32Array(keys);
    this.partFirst = new Int32Array(keys);
    this.#starts = new Int32Array(keys);
    this.#ends = new Int32Array(keys);
    this.#cursors = new Int32Array(keys);
  }

  /** Numbers the parts in the order of their first keys, as route/replies/split.ts does. */
  nameParts(keyCount: number): void {
    this.keyCount = keyCount;
    this.partCount = 0;
    for (let key = 0; key < keyCount; key++) {
      const partition = this.keyPartitions[key] ?? 0;
      let part = partsOf[partition];
      if (part === undefined || part === 0) {
        part = ++this.partCount;
        partsOf[partition] = part;
        this.partKeys[part - 1] = 0;
        this.partFirst[part - 1] = -1;
      }
      this.keyParts[key] = part - 1;
      this.partKeys[part - 1] = (this.partKeys[part - 1] ?? 0) + 1;
    }
    for (let key = keyCount - 1; key >= 0; key--) {
      const part = this.keyParts[key] ?? 0;
      this.keyNext[key] = this.partFirst[part] ?? -1;
      this.partFirst[part] = key;
      partsOf[this.keyPartitions[key] ?? 0] = 0;
    }
  }

  begin(sink: ReplySink, tag: number, shape: SplitShape, raw: RequestSplitter): void {
    this.#sink = sink;
    this.#tag = tag;
    this.#shape = shape;
    this.#left = this.partCount;
    this.#filled = 0;
    this.#keep(raw.source, raw.rawStart, raw.rawEnd);
    this.#rawEnd = this.#filled;
  }

  take(part: number, bytes: Buffer, start: number, end: number): void {
    this.#starts[part] = this.#filled;
    this.#keep(bytes, start, end);
    this.#ends[part] = this.#filled;
    if (--this.#left === 0) this.#finish();
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (this.#filled + end - start > this.#kept.length) {
      const grown = Buffer.allocUnsafeSlow((this.#filled + end - start) * 2);
      this.#kept.copy(grown, 0, 0, this.#filled);
      this.#kept = grown;
    }
    this.#filled = copyBytes(bytes, start, end, this.#kept, this.#filled);
  }

  #finish(): void {
    const [sink, shape] = [this.#sink, this.#shape];
    if (sink !== undefined && shape !== undefined && !sink.isGone) {
      const isDone =
        shape.merge === "mget" ? this.#joinValues(sink) : this.#joinCounts(sink, shape);
      if (!isDone) this.#joinSlowly(sink, shape);
    }
    this.#sink = undefined;
    if (this.#kept.length > KEPT_BYTES_MAX) this.#kept = Buffer.allocUnsafeSlow(1024);
    if (pool.length < POOLED_MAX && this.keyParts.length <= 1024) pool.push(this);
  }

  /** False if some part is not an array with one value per key. */
  #joinValues(sink: ReplySink): boolean {
    const kept = this.#kept;
    const out = scratchOf(this.#filled + HEADER_BYTES_MAX);
    for (let part = 0; part < this.partCount; part++) {
      const at = this.#starts[part] ?? 0;
      if (kept[at] !== STAR || countAt(kept, at + 1) !== this.partKeys[part]) return false;
      let cursor = at + 1;
      while (kept[cursor] !== LF) cursor++;
      this.#cursors[part] = cursor + 1;
    }
    let filled = writeHeader(out, 0, this.keyCount);
    for (let key = 0; key < this.keyCount; key++) {
      const part = this.keyParts[key] ?? 0;
      const at = this.#cursors[part] ?? 0;
      const end = elementEnd(kept, at, this.#ends[part] ?? 0);
      filled = copyBytes(kept, at, end, out, filled);
      this.#cursors[part] = end;
    }
    sink.take(this.#tag, out, 0, filled);
    return true;
  }

  /** False if some part has another type of reply. */
  #joinCounts(sink: ReplySink, shape: SplitShape): boolean {
    const type = shape.merge === "mset" ? PLUS : COLON;
    let sum = 0;
    for (let part = 0; part < this.partCount; part++) {
      const [start, end] = [this.#starts[part] ?? 0, this.#ends[part] ?? 0];
      if (this.#kept[start] !== type) return false;
      if (type === COLON) sum += Number(this.#kept.toString("latin1", start + 1, end - 2));
    }
    const reply = type === PLUS ? OK_REPLY : Buffer.from(`:${sum}\r\n`);
    sink.take(this.#tag, reply, 0, reply.length);
    return true;
  }

  #joinSlowly(sink: ReplySink, shape: SplitShape): void {
    const splitter = new RequestSplitter();
    splitter.push(this.#kept.subarray(0, this.#rawEnd));
    const args = splitter.next()?.args ?? [];
    const parts = splitCommand(args, shape, [...this.keyPartitions.subarray(0, this.keyCount)]);
    const replies = parts.map((_, part) =>
      this.#kept.subarray(this.#starts[part], this.#ends[part]),
    );
    const reply = mergeReplies(args, shape, parts, replies);
    sink.take(this.#tag, reply, 0, reply.length);
  }
}

/** Sends the splitter's present command: whole if its keys share a partition, else split. `sink` gets one reply. */
export function sendByKeys(
  sink: ReplySink,
  tag: number,
  raw: RequestSplitter,
  command: FastCommand,
  protocol: Protocol,
  { pipelines, partitionOf, stats }: SplitRoute,
): void {
  const { source, rawStart, offsets } = raw;
  const { isRead } = command;
  const step = command.shape?.keyStep ?? 1;
  const keyCount = (raw.count - 1) / step;
  const join = pool.pop() ?? new SplitJoin();
  join.makeRoom(keyCount);
  for (let key = 0; key < keyCount; key++) {
    const at = 2 + key * step * 2;
    const [start, end] = [rawStart + (offsets[at] ?? 0), rawStart + (offsets[at + 1] ?? 0)];
    join.keyPartitions[key] = partitionOf(source, start, end);
  }
  join.nameParts(keyCount);
  const first = join.keyPartitions[0] ?? 0;
  if (join.partCount === 1 || command.shape === undefined) {
    pool.push(join);
    pipelines.of(first, protocol, isRead).submit(sink, tag, source, rawStart, raw.rawEnd, isRead);
    return;
  }
  stats.fragments += join.partCount;
  join.begin(sink, tag, command.shape, raw);
  sendParts(join, raw, command, protocol, pipelines);
}

function sendParts(
  join: SplitJoin,
  raw: RequestSplitter,
  { shape, isRead }: FastCommand,
  protocol: Protocol,
  pipelines: NodePipelines,
): void {
  const { source, rawStart, offsets } = raw;
  const step = shape?.keyStep ?? 1;
  const out = scratchOf(raw.rawEnd - rawStart + HEADER_BYTES_MAX);
  const nameEnd = rawStart + (offsets[1] ?? 0) + 2;
  let nameStart = rawStart;
  while (source[nameStart] !== LF) nameStart++;
  for (let part = 0; part < join.partCount; part++) {
    let filled = writeHeader(out, 0, 1 + (join.partKeys[part] ?? 0) * step);
    filled = copyBytes(source, nameStart + 1, nameEnd, out, filled);
    const first = join.partFirst[part] ?? 0;
    for (let key = first; key >= 0; key = join.keyNext[key] ?? -1) {
      // From the end of the previous argument to the end of its own last one: with the lengths, unchanged.
      const at = 2 + key * step * 2;
      const start = rawStart + (offsets[at - 1] ?? 0) + 2;
      const end = rawStart + (offsets[at + step * 2 - 1] ?? 0) + 2;
      filled = copyBytes(source, start, end, out, filled);
    }
    const partition = join.keyPartitions[first] ?? 0;
    pipelines.of(partition, protocol, isRead).submit(join, part, out, 0, filled, isRead);
  }
}

/** The decimal number that begins at `at`. */
function countAt(bytes: Buffer, at: number): number {
  let count = 0;
  for (let place = at; ; place++) {
    const digit = (bytes[place] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return count;
    count = count * 10 + digit;
  }
}

/** Writes `*count` and CRLF at `at`; returns the position after it. */
function writeHeader(out: Buffer, at: number, count: number): number {
  let digits = 1;
  for (let rest = count; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  out[at] = STAR;
  let rest = count;
  for (let place = at + digits; place > at; place--) {
    out[place] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  out[at + digits + 1] = CR;
  out[at + digits + 2] = LF;
  return at + digits + 3;
}
