// reply-line.ts: the outstanding replies of one client. They arrive in any order and are sent in the order of its
// commands.
//
//   expect() -> tag 7, 8, 9 ...     take(8, bytes) -> arena, until 7 has arrived     take(7, bytes) -> out: 7, 8
//
// `out` is sent at the end of the tick, in one piece. A reply in order is copied there at once. An early reply is kept in
// the arena; its position is in preallocated columns. A client without outstanding replies has no buffer.
import type { Replies } from "../../route/session/session-state.ts";
import { copyBytes } from "../pipelines/copy-bytes.ts";
import { CommandTally, OTHER } from "../stats/tally.ts";

/** Tags have 30 bits, so that they stay small integers for the whole life of a client. */
const TAG_MASK = 0x3fffffff;
const NOT_YET = -1;
const NONE = 0;
const NEXT = 1;
const ALL = 2;
const OUT_BYTES = 16 * 1024;
const POOLED_MAX = 256;
const pool: Buffer[] = [];
/** For callers without statistics. */
const UNREAD = new CommandTally({ nowMs: 0 });

export class ReplyLine {
  /** The number of the command that is being dispatched, for statistics. */
  command = OTHER;
  readonly #tally: CommandTally;
  #mask = 15;
  #head = 0;
  #tail = 0;
  /** The position of an early reply in the arena; NOT_YET without one. */
  #starts = new Int32Array(16).fill(NOT_YET);
  #ends = new Int32Array(16);
  #requestBytes = new Float64Array(16);
  #commands = new Uint16Array(16);
  /** CLIENT REPLY: the slots whose replies are not sent, and which later replies are not. */
  #muted = new Uint8Array(16);
  #mute: typeof NONE | typeof NEXT | typeof ALL = NONE;
  /** This client has used CLIENT REPLY: other clients skip these checks. */
  #hasMuted = false;
  #since = new Float64Array(16);
  #arena: Buffer | undefined;
  #arenaFilled = 0;
  /** Bytes of unsent replies in the arena. */
  #arenaBytes = 0;
  #out: Buffer | undefined;
  #outFilled = 0;
  /** Bytes of the requests with outstanding replies. */
  owedBytes = 0;
  /** The largest reply since the client last had read everything. */
  largestBytes = 0;
  /** The typical length of recent replies. */
  usualBytes = 0;
  /** The oldest reply that the last flush did not send. */
  #flushed = 0;

  constructor(tally: CommandTally = UNREAD) {
    this.#tally = tally;
  }

  /** The number of outstanding replies. */
  get owed(): number {
    return (this.#tail - this.#head) & TAG_MASK;
  }

  /** Adds a slot for the reply to a request of this many bytes; returns its tag. */
  expect(requestBytes: number, command = this.command): number {
    if (this.owed > this.#mask) this.#grow();
    const tag = this.#tail;
    this.#tail = (tag + 1) & TAG_MASK;
    const at = tag & this.#mask;
    this.#starts[at] = NOT_YET;
    this.#requestBytes[at] = requestBytes;
    this.#commands[at] = command;
    this.#since[at] = this.#tally.nowMs;
    if (this.#hasMuted) this.#muteAt(at);
    this.owedBytes += requestBytes;
    return tag;
  }

  take(tag: number, bytes: Buffer, start: number, end: number): void {
    if (end - start > this.largestBytes) this.largestBytes = end - start;
    const place = tag & this.#mask;
    this.#tally.count(this.#commands[place] ?? OTHER, this.#since[place] ?? 0, bytes[start] ?? 0);
    if (this.#hasMuted && this.#muted[place] !== NONE) end = start;
    if (tag !== this.#head) {
      this.#putAside(place, bytes, start, end);
      return;
    }
    this.#append(bytes, start, end);
    this.#next();
    while (this.#head !== this.#tail) {
      const at = this.#head & this.#mask;
      const from = this.#starts[at] ?? NOT_YET;
      if (from === NOT_YET) return;
      const to = this.#ends[at] ?? from;
      // A muted reply has no bytes, and the arena may be released.
      if (this.#arena !== undefined && to > from) this.#append(this.#arena, from, to);
      this.#arenaBytes -= to - from;
      this.#starts[at] = NOT_YET;
      if (this.#arenaBytes === 0) this.#emptyArena();
      this.#next();
    }
  }

  /** Bytes of replies that have arrived and were not sent. */
  get waitingBytes(): number {
    return this.#outFilled + this.#arenaBytes;
  }

  /** Sets from slot `tag` on whether replies are sent. skip: the next reply is not sent; no effect while all are off. */
  setReplies(replies: Replies, tag: number): void {
    this.#hasMuted = true;
    if (replies === "on") this.#muted[tag & this.#mask] = this.#mute = NONE;
    else if (replies === "off") this.#mute = ALL;
    else if (this.#mute === NONE) this.#mute = NEXT;
  }

  /** Adds bytes that are not a reply (a push), before the next reply. */
  push(bytes: Buffer, start: number, end: number): void {
    this.#append(bytes, start, end);
  }

  get hasOutput(): boolean {
    return this.#outFilled > 0;
  }

  /** Calls `write` with the bytes to send. It returns whether their memory may be reused at once. */
  flush(write: (bytes: Buffer) => boolean): void {
    const out = this.#out;
    if (out === undefined) return;
    const filled = this.#outFilled;
    this.#out = undefined;
    this.#outFilled = 0;
    const replies = (this.#head - this.#flushed) & TAG_MASK;
    this.#flushed = this.#head;
    if (replies > 0) this.#learn(filled / replies);
    const isFree = filled === 0 || write(out.subarray(0, filled));
    if (isFree && this.#arenaBytes === 0) this.largestBytes = 0;
    if (isFree && out.length === OUT_BYTES && pool.length < POOLED_MAX) pool.push(out);
  }

  /** A longer reply counts at once; shorter ones lower the average slowly. */
  #learn(replyBytes: number): void {
    const more = replyBytes - this.usualBytes;
    this.usualBytes += more > 0 ? more : more / 4;
  }

  #muteAt(at: number): void {
    this.#muted[at] = this.#mute;
    if (this.#mute === NEXT) this.#mute = NONE;
  }

  #next(): void {
    this.owedBytes -= this.#requestBytes[this.#head & this.#mask] ?? 0;
    this.#head = (this.#head + 1) & TAG_MASK;
  }

  #append(bytes: Buffer, start: number, end: number): void {
    let out = this.#out ?? pool.pop() ?? Buffer.allocUnsafeSlow(OUT_BYTES);
    const neededBytes = this.#outFilled + end - start;
    if (neededBytes > out.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(neededBytes, out.length * 2));
      out.copy(grown, 0, 0, this.#outFilled);
      out = grown;
    }
    this.#out = out;
    this.#outFilled = copyBytes(bytes, start, end, out, this.#outFilled);
  }

  #putAside(at: number, bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    let arena = this.#arena ?? pool.pop() ?? Buffer.allocUnsafeSlow(OUT_BYTES);
    if (this.#arenaFilled + length > arena.length) arena = this.#compact(arena, length);
    this.#arena = arena;
    this.#starts[at] = this.#arenaFilled;
    this.#arenaFilled = copyBytes(bytes, start, end, arena, this.#arenaFilled);
    this.#ends[at] = this.#arenaFilled;
    this.#arenaBytes += length;
  }

  /** Moves the remaining replies together, into twice the memory they need. */
  #compact(arena: Buffer, more: number): Buffer {
    const grown = Buffer.allocUnsafeSlow(Math.max(OUT_BYTES, (this.#arenaBytes + more) * 2));
    let filled = 0;
    for (let tag = this.#head; tag !== this.#tail; tag = (tag + 1) & TAG_MASK) {
      const at = tag & this.#mask;
      const from = this.#starts[at] ?? NOT_YET;
      if (from === NOT_YET) continue;
      this.#starts[at] = filled;
      filled = copyBytes(arena, from, this.#ends[at] ?? from, grown, filled);
      this.#ends[at] = filled;
    }
    this.#arenaFilled = filled;
    return grown;
  }

  #emptyArena(): void {
    const arena = this.#arena;
    this.#arena = undefined;
    this.#arenaFilled = 0;
    const isPooled = arena?.length === OUT_BYTES && pool.length < POOLED_MAX;
    if (isPooled) pool.push(arena);
  }

  #grow(): void {
    const size = (this.#mask + 1) * 2;
    const [starts, ends] = [new Int32Array(size).fill(NOT_YET), new Int32Array(size)];
    const [requestBytes, since] = [new Float64Array(size), new Float64Array(size)];
    const [commands, muted] = [new Uint16Array(size), new Uint8Array(size)];
    for (let tag = this.#head; tag !== this.#tail; tag = (tag + 1) & TAG_MASK) {
      const [from, to] = [tag & this.#mask, tag & (size - 1)];
      starts[to] = this.#starts[from] ?? NOT_YET;
      ends[to] = this.#ends[from] ?? 0;
      requestBytes[to] = this.#requestBytes[from] ?? 0;
      commands[to] = this.#commands[from] ?? OTHER;
      muted[to] = this.#muted[from] ?? NONE;
      since[to] = this.#since[from] ?? 0;
    }
    this.#mask = size - 1;
    this.#starts = starts;
    this.#ends = ends;
    this.#requestBytes = requestBytes;
    this.#commands = commands;
    this.#muted = muted;
    this.#since = since;
  }
}
