// in-flight.ts: the requests of one connection that wait for their replies, and the bytes that are to be written.
//
//   ring:   head ...... sent ...... tail        replies belong to head, by order; [sent, tail) is not written yet
//   slabs:  [cmd cmd cmd|cmd cmd cmd    ]       each entry's bytes stay in their slab until its reply has come
//
// So a request that has to be sent again is still there, and the one copy from the client's bytes to the slab is the only
// one. A slab is used anew when all of its replies have come: a reply proves that its request has left this process.
// Requests are put and answered in one order, so which slab holds one is told by where each slab begins.

import { copyBytes } from "./copy-bytes.ts";
import type { ReplySink } from "./reply-sink.ts";

export const READ = 1;
/** A WAIT follows, and the reply is kept until it is answered. */
export const FENCED = 2;
/** It is that WAIT. */
export const FENCE = 4;

/** A request outside of the ring: waiting to be sent. */
export interface Held {
  readonly sink: ReplySink;
  readonly tag: number;
  readonly command: Buffer;
  readonly isRead: boolean;
  readonly sinceMs: number;
  /** Counted by the lane: the order in which requests came. */
  readonly order: number;
  /** The node whose connection broke while it was on the wire. */
  unknownAt: string | undefined;
}

/** A connection: what is written between cork() and uncork() is one system call. */
export interface PieceWriter {
  write(piece: Buffer): void;
  cork(): void;
  uncork(): void;
}

interface Slab {
  readonly bytes: Buffer;
  filled: number;
  /** The first request whose bytes are here; the next slab's first is behind the last one. */
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

/** One column per fact about a request: no object per request. */
class Ring {
  readonly sinks: ReplySink[];
  readonly tags: Int32Array;
  readonly flags: Uint8Array;
  /** Where its bytes lie in its slab. */
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
  /** By place in the ring, where that is known of a request. */
  readonly #unknownAt = new Map<number, string>();
  /** Those with requests in them and the present one, oldest first. */
  #slabs: Slab[] = [];
  #slab: Slab | undefined;
  /** Where the second slab begins. */
  #nextFrom = Number.POSITIVE_INFINITY;
  /** Up to where the present slab was written. */
  #written = 0;
  /** What earlier slabs hold that was not written. */
  #pieces: Buffer[] = [];

  get count(): number {
    return this.#tail - this.#head;
  }

  /** Written, and without a reply. */
  get sentCount(): number {
    return this.#sent - this.#head;
  }

  get unsentCount(): number {
    return this.#tail - this.#sent;
  }

  /** Bytes of those that were written, and of those that were not. */
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

  /** Flags of the oldest one. */
  get headFlags(): number {
    return this.#ring.flags[this.#head & this.#mask] ?? 0;
  }

  /** Adds bytes[start, end) as the newest request. */
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

  putHeld(held: Held): void {
    const { sink, tag, command, isRead, sinceMs, order, unknownAt } = held;
    const flags = isRead ? READ : 0;
    if (unknownAt !== undefined) this.#unknownAt.set(this.#tail, unknownAt);
    this.put(sink, tag, command, 0, command.length, flags, sinceMs, order);
  }

  /** A WAIT behind all that was not written, if a write is among that. */
  fence(wait: Buffer, nowMs: number): void {
    let hasWrite = false;
    for (let index = this.#sent; index < this.#tail; index++) {
      hasWrite ||= ((this.#ring.flags[index & this.#mask] ?? 0) & READ) === 0;
    }
    if (!hasWrite) return;
    for (let index = this.#sent; index < this.#tail; index++) {
      const at = index & this.#mask;
      this.#ring.flags[at] = (this.#ring.flags[at] ?? 0) | FENCED;
    }
    this.put(NOBODY, 0, wait, 0, wait.length, FENCE | READ, nowMs, 0);
  }

  hasUnsentWrite(): boolean {
    for (let index = this.#sent; index < this.#tail; index++) {
      if (((this.#ring.flags[index & this.#mask] ?? 0) & READ) === 0) return true;
    }
    return false;
  }

  /** Gives every piece that was not written to `way`, in order. */
  drainTo(way: PieceWriter): void {
    const earlier = this.#pieces;
    // One piece, as mostly, goes straight to the system.
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

  /** Gives the reply bytes[start, end) to the oldest request, which is then done. */
  answer(bytes: Buffer, start: number, end: number): void {
    const at = this.#head & this.#mask;
    const sink = this.#ring.sinks[at] ?? NOBODY;
    const tag = this.#ring.tags[at] ?? 0;
    this.#drop();
    sink.take(tag, bytes, start, end);
  }

  /** The oldest request, out of the ring. */
  shift(): Held {
    const held = this.#heldAt(this.#head);
    this.#drop();
    return held;
  }

  /** All that was not written, out of the ring and in its order. */
  takeBackUnsent(): Held[] {
    const back: Held[] = [];
    for (let index = this.#sent; index < this.#tail; index++) {
      back.push(this.#heldAt(index));
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

  /** All requests in their order, without the WAITs; nothing is left. */
  takeBackAll(): Held[] {
    const back: Held[] = [];
    for (let index = this.#head; index < this.#tail; index++) {
      const isFence = ((this.#ring.flags[index & this.#mask] ?? 0) & FENCE) !== 0;
      if (!isFence) back.push(this.#heldAt(index));
    }
    this.#head = this.#sent = this.#tail = 0;
    this.#ring.sinks.fill(NOBODY);
    this.#unknownAt.clear();
    // The system may still be reading from them: they are not used again.
    this.#slabs = [];
    this.#slabsChanged();
    this.#pieces = [];
    this.#written = 0;
    return back;
  }

  #heldAt(index: number): Held {
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
    // Nothing waits: all begins anew, with small numbers.
    this.#head = this.#sent = this.#tail = 0;
    const slab = this.#slab;
    if (slab === undefined) return;
    slab.filled = slab.from = 0;
    this.#written = 0;
  }

  /** Its last request is answered. */
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
    // Without requests in it nobody would give it back later.
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
