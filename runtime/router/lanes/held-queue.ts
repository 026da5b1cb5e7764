// held-queue.ts: requests of one lane that have nowhere to go yet, bounded in time (hold-for) and, over all lanes of the
// router, in bytes (hold-bytes).
import type { Held } from "./in-flight.ts";
import type { LaneContext } from "./lane-context.ts";

/** hold-for may change while requests are held: it is looked at anew this often. */
const LOOK_MS = 200;

export class HeldQueue {
  readonly #context: LaneContext;
  readonly #giveUp: (held: Held, why?: string) => void;
  #requests: Held[] = [];
  #endExpiry: (() => void) | undefined;
  #isClosed = false;

  /** `giveUp` answers a request that leaves the queue unsent; without a `why` because its partition can't be served. */
  constructor(context: LaneContext, giveUp: (held: Held, why?: string) => void) {
    this.#context = context;
    this.#giveUp = giveUp;
  }

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  get count(): number {
    return this.#requests.length;
  }

  get bytes(): number {
    return this.#requests.reduce((sum, { command }) => sum + command.length, 0);
  }

  addLast(held: Held): void {
    this.#context.heldBytes += held.command.length;
    this.#requests.push(held);
  }

  /** Before all others, in the order given. */
  addFirst(requests: readonly Held[]): void {
    for (const held of requests) this.#context.heldBytes += held.command.length;
    this.#requests = [...requests, ...this.#requests];
    // They are older than those that the timer was set for.
    this.#endExpiry?.();
    this.#endExpiry = undefined;
    this.watchExpiry();
  }

  /** Offers each request, oldest first; those for which `take` answers true leave, and those of clients that are gone. */
  release(take: (held: Held) => boolean): void {
    const requests = this.#requests;
    const kept: Held[] = [];
    for (const held of requests) {
      if (!held.sink.isGone && !take(held)) kept.push(held);
      else this.#context.heldBytes -= held.command.length;
    }
    this.#requests = kept;
  }

  /** The newest request is given up when it is still here and hold-bytes is exceeded. */
  refuseBeyondMax(newest: Held): void {
    const isHere = this.#requests.at(-1) === newest;
    if (!isHere || this.#context.heldBytes <= this.#context.holdBytesMax) return;
    this.#requests.pop();
    this.#context.heldBytes -= newest.command.length;
    this.#giveUp(newest, "hold-bytes is used up by requests whose partitions can't be served");
  }

  watchExpiry(): void {
    const [first] = this.#requests;
    if (first === undefined || this.#endExpiry !== undefined || this.#isClosed) return;
    const { clock, holdForMs } = this.#context;
    const leftMs = Math.max(first.sinceMs + holdForMs - clock.nowMs(), 0);
    this.#endExpiry = clock.after(Math.min(leftMs, LOOK_MS), () => {
      this.#endExpiry = undefined;
      const oldestMs = clock.nowMs() - this.#context.holdForMs;
      const isOver = (held: Held): boolean => held.sinceMs <= oldestMs;
      const over = this.#requests.filter(isOver);
      this.#requests = this.#requests.filter((held) => !isOver(held));
      for (const held of over) {
        this.#context.heldBytes -= held.command.length;
        this.#giveUp(held);
      }
      this.watchExpiry();
    });
  }

  /** Gives every request up. */
  close(why: string): void {
    this.#isClosed = true;
    this.#endExpiry?.();
    const rest = this.#requests;
    this.#requests = [];
    for (const held of rest) {
      this.#context.heldBytes -= held.command.length;
      this.#giveUp(held, why);
    }
  }
}
