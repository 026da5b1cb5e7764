// in-flight.ts: the requests of one connection without a reply, and the bytes to be written.
//
//   ring:   head ...... sent ...... tail        the next reply is head's; [sent, tail) is not written yet
//   slabs:  [cmd cmd cmd|cmd cmd cmd    ]       each entry's bytes stay in their slab until its reply has arrived
//
// So a request can be sent again, and its bytes are copied only once, from the client's chunk to the slab. A slab is reused
// when all its replies have arrived: a reply proves that the system no longer reads the request's bytes. Requests are added
// and answered in one order, so the slab of a request follows from each slab's first request.

import { copyBytes } from "./copy-bytes.ts";
import type { ReplySink } from "./reply-sink.ts";

export const READ = 1;
/** A WAIT follows; the reply is kept until the WAIT has its own. */
export const BEHIND_BARRIER = 2;
/** The WAIT itself. */
export const BARRIER = 4;
/** ROLE, sent by the pipeline; like WAIT, no client's request. */
export const ASKS_ROLE = 8;

/** A buffered request, outside of the ring. */
export interface BufferedRequest {
  readonly sink: ReplySink;
  readonly tag: number;
  readonly command: Buffer;
  readonly isRead: boolean;
  readonly sinceMs: number;
  /** The pipeline's number for the order in which requests arrived. */
  readonly order: number;
  /** The node whose connection broke after the request was sent. */
  unknownAt: string | undefined;
}

export function byOrder(a: BufferedRequest, b: BufferedRequest): number {
  return a.order - b.order;
}

/** A connection. Writes between cork() and uncork() are one system call. */
export interface PieceWriter {
  write(piece: Buffer): void;
  cork(): void;
  uncork(): void;
}

interface Slab {
  readonly bytes: Buffer;
  filled: number;
  /** The first request whose bytes are here; the last one is before the next slab's first. */
  from: number;
}

const SLAB_BYTES = 64 * 1024;
const POOLED_MAX = 64;
const pool: Slab[] = [];

function takeSlab(bytes: number): Slab {
  const pooled = bytes <= SLAB_BYTES ? pool.pop() : undefined;
  const size = Math.max(bytes, SLAB_BYTES);
  return pooled ?? { bytes: Buffer.allocUnsafeSlow(size), filled: 0, from: 0 };
}

function giveSlab(slab: Slab): void {
  if (slab.bytes.length !== SLAB_BYTES || pool.length >= POOLED_MAX) return;
  slab.filled = 0;
  pool.push(slab);
}

const NOBODY: ReplySink = {
  owner: { isGone: true },
  isGone: true,
  take: () => undefined,
};

/** One array for each property of the requests: no object per request. */
class Ring {
  readonly sinks: ReplySink[];
  readonly tags: Int32Array;
  readonly flags: Uint8Array;
  /** The range of its bytes in its slab. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly since: Float64Array;
  readonly orders: Float64Array;

  constructor(size: number) {
    this.sinks = new Array<ReplySink>(size).fill(NOBODY);
    this.tags = new Int32Array(size);
    this.flags = new Uint8Array(size);
    this.starts = new Int32Array(size);
    this.ends = new Int32Array(size);
    this.since = new Float64Array(size);
    this.orders = new Float64Array(size);
  }

  copy(to: number, other: Ring, from: number): void {
    this.sinks[to] = other.sinks[from] ?? NOBODY;
    this.tags[to] = other.tags[from] ?? 0;
    this.flags[to] = other.flags[from] ?? 0;
    this.starts[to] = other.starts[from] ?? 0;
    this.ends[to] = other.ends[from] ?? 0;
    this.since[to] = other.since[from] ?? 0;
    this.orders[to] = other.orders[from] ?? 0;
  }
}

export class InFlight {
  #ring = new Ring(64);
  #mask = 63;
  #head = 0;
  #sent = 0;
  #tail = 0;
  /** By index in the ring, for requests that have it. */
  readonly #unknownAt = new Map<number, string>();
  /** Slabs with requests and the current one, oldest first. */
  #slabs: Slab[] = [];
  #slab: Slab | undefined;
  /** The first request of the second slab. */
  #nextFrom = Number.POSITIVE_INFINITY;
  /** The end of the written bytes in the current slab. */
  #written = 0;
  /** Unwritten ranges of earlier slabs. */
  #pieces: Buffer[] = [];

  get count(): number {
    return this.#tail - this.#head;
  }

  /** The number of written requests without a reply. */
  get sentCount(): number {
    return this.#sent - this.#head;
  }

  get unsentCount(): number {
    return this.#tail - this.#sent;
  }

  /** Bytes of the written and of the unwritten requests. */
  waitingBytes(): { readonly sent: number; readonly unsent: number } {
    let [sent, unsent] = [0, 0];
    for (let index = this.#head; index < this.#tail; index++) {
      const at = index & this.#mask;
      const bytes = (this.#ring.ends[at] ?? 0) - (this.#ring.starts[at] ?? 0);
      if (index < this.#sent) sent += bytes;
      else unsent += bytes;
    }
    return { sent, unsent };
  }

  /** The oldest request's bytes. */
  get headCommand(): Buffer {
    const at = this.#head & this.#mask;
    const bytes = this.#slabs[0]?.bytes ?? Buffer.alloc(0);
    return bytes.subarray(this.#ring.starts[at], this.#ring.ends[at]);
  }

  /** The oldest request's flags. */
  get headFlags(): number {
    return this.#ring.flags[this.#head & this.#mask] ?? 0;
  }

  /** Adds bytes[start, end) as the newest request; they are copied. */
  put(
    sink: ReplySink,
    tag: number,
    bytes: Buffer,
    start: number,
    end: number,
    flags: number,
    sinceMs: number,
    order: number,
  ): void {
    if (this.#tail - this.#head > this.#mask) this.#grow();
    let slab = this.#slab;
    if (slab === undefined || slab.filled + end - start > slab.bytes.length) {
      slab = this.#nextSlab(end - start);
    }
    const at = this.#tail++ & this.#mask;
    const from = slab.filled;
    slab.filled = copyBytes(bytes, start, end, slab.bytes, from);
    this.#ring.sinks[at] = sink;
    this.#ring.tags[at] = tag;
    this.#ring.flags[at] = flags;
    this.#ring.starts[at] = from;
    this.#ring.ends[at] = slab.filled;
    this.#ring.since[at] = sinceMs;
    this.#ring.orders[at] = order;
  }

  putBuffered(request: BufferedRequest): void {
    const { sink, tag, command, isRead, sinceMs, order, unknownAt } = request;
    const flags = isRead ? READ : 0;
    if (unknownAt !== undefined) this.#unknownAt.set(this.#tail, unknownAt);
    this.put(sink, tag, command, 0, command.length, flags, sinceMs, order);
  }

  /** Adds a WAIT after the unwritten requests, if there is a write among them. */
  barrier(wait: Buffer, nowMs: number): void {
    let hasWrite = false;
    for (let index = this.#sent; index < this.#tail; index++) {
      hasWrite ||= ((this.#ring.flags[index & this.#mask] ?? 0) & READ) === 0;
    }
    if (!hasWrite) return;
    for (let index = this.#sent; index < this.#tail; index++) {
      const at = index & this.#mask;
      this.#ring.flags[at] = (this.#ring.flags[at] ?? 0) | BEHIND_BARRIER;
    }
    this.putControl(wait, BARRIER, nowMs);
  }

  /** Adds a command of the pipeline itself. */
  putControl(command: Buffer, flag: typeof BARRIER | typeof ASKS_ROLE, nowMs: number): void {
    this.put(NOBODY, 0, command, 0, command.length, flag | READ, nowMs, 0);
  }

  hasUnsentWrite(): boolean {
    for (let index = this.#sent; index < this.#tail; index++) {
      if (((this.#ring.flags[index & this.#mask] ?? 0) & READ) === 0) return true;
    }
    return false;
  }

  /** Writes every unwritten piece to `way`, in order. */
  drainTo(way: PieceWriter): void {
    const earlier = this.#pieces;
    // The usual case, one piece, needs no cork.
    if (earlier.length > 0) {
      this.#pieces = [];
      way.cork();
      for (const piece of earlier) way.write(piece);
    }
    const slab = this.#slab;
    if (slab !== undefined && slab.filled > this.#written) {
      const from = this.#written;
      this.#written = slab.filled;
      way.write(slab.bytes.subarray(from, slab.filled));
    }
    if (earlier.length > 0) way.uncork();
    this.#sent = this.#tail;
  }

  /** Gives the reply bytes[start, end) to the oldest request and removes it. */
  answer(bytes: Buffer, start: number, end: number): void {
    const at = this.#head & this.#mask;
    const sink = this.#ring.sinks[at] ?? NOBODY;
    const tag = this.#ring.tags[at] ?? 0;
    this.#drop();
    sink.take(tag, bytes, start, end);
  }

  /** Removes and returns the oldest request. */
  shift(): BufferedRequest {
    const request = this.#requestAt(this.#head);
    this.#drop();
    return request;
  }

  /** Removes and returns the unwritten requests, in order. */
  cancelUnsent(): BufferedRequest[] {
    const back: BufferedRequest[] = [];
    for (let index = this.#sent; index < this.#tail; index++) {
      back.push(this.#requestAt(index));
    }
    this.#tail = this.#sent;
    while (this.#slabs.length > 1 && (this.#slabs.at(-1)?.from ?? 0) >= this.#tail) {
      const unused = this.#slabs.pop();
      if (unused !== undefined) giveSlab(unused);
    }
    this.#slabsChanged();
    this.#pieces = [];
    this.#written = this.#slab?.filled ?? 0;
    return back;
  }

  /** Removes all requests; returns those of clients, in order. */
  cancelAll(): BufferedRequest[] {
    const back: BufferedRequest[] = [];
    for (let index = this.#head; index < this.#tail; index++) {
      const flags = this.#ring.flags[index & this.#mask] ?? 0;
      if ((flags & (BARRIER | ASKS_ROLE)) === 0) back.push(this.#requestAt(index));
    }
    this.#head = this.#sent = this.#tail = 0;
    this.#ring.sinks.fill(NOBODY);
    this.#unknownAt.clear();
    // The system may still read from these slabs: they are not reused.
    this.#slabs = [];
    this.#slabsChanged();
    this.#pieces = [];
    this.#written = 0;
    return back;
  }

  #requestAt(index: number): BufferedRequest {
    const at = index & this.#mask;
    const bytes = this.#slabs.findLast(({ from }) => from <= index)?.bytes ?? Buffer.alloc(0);
    return {
      sink: this.#ring.sinks[at] ?? NOBODY,
      tag: this.#ring.tags[at] ?? 0,
      command: Buffer.from(bytes.subarray(this.#ring.starts[at], this.#ring.ends[at])),
      isRead: ((this.#ring.flags[at] ?? 0) & READ) !== 0,
      sinceMs: this.#ring.since[at] ?? 0,
      order: this.#ring.orders[at] ?? 0,
      unknownAt: this.#unknownAt.get(index),
    };
  }

  #drop(): void {
    if (this.#unknownAt.size > 0) this.#unknownAt.delete(this.#head);
    this.#ring.sinks[this.#head & this.#mask] = NOBODY;
    this.#head++;
    if (this.#head >= this.#nextFrom) this.#dropSlab();
    if (this.#head !== this.#tail) return;
    // The ring is empty: numbers start again at 0, to stay small integers.
    this.#head = this.#sent = this.#tail = 0;
    const slab = this.#slab;
    if (slab === undefined) return;
    slab.filled = slab.from = 0;
    this.#written = 0;
  }

  /** The slab's last request has its reply. */
  #dropSlab(): void {
    const answered = this.#slabs.shift();
    if (answered !== undefined) giveSlab(answered);
    this.#slabsChanged();
  }

  #nextSlab(bytes: number): Slab {
    const full = this.#slab;
    if (full !== undefined && full.filled > this.#written) {
      this.#pieces.push(full.bytes.subarray(this.#written, full.filled));
    }
    // An empty slab would never be released later.
    if (full?.from === this.#tail) {
      this.#slabs.pop();
      giveSlab(full);
    }
    const slab = takeSlab(bytes);
    slab.from = this.#tail;
    this.#slabs.push(slab);
    this.#slabsChanged();
    this.#written = 0;
    return slab;
  }

  #slabsChanged(): void {
    this.#slab = this.#slabs.at(-1);
    this.#nextFrom = this.#slabs[1]?.from ?? Number.POSITIVE_INFINITY;
  }

  #grow(): void {
    const size = (this.#mask + 1) * 2;
    const grown = new Ring(size);
    for (let index = this.#head; index < this.#tail; index++) {
      grown.copy(index & (size - 1), this.#ring, index & this.#mask);
    }
    this.#mask = size - 1;
    this.#ring = grown;
  }
}
