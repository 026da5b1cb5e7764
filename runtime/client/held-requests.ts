// held-requests.ts: requests of one lane that have nowhere to go yet, bounded in time (hold-for) and, over all lanes of a
// client, in bytes (hold-bytes).
import type { LaneContext } from "./lane-context.ts";
import type { Request } from "./request.ts";

export class HeldRequests {
  readonly #context: LaneContext;
  readonly #giveUp: (request: Request, why?: string) => void;
  #requests: Request[] = [];
  #endExpiry: (() => void) | undefined;

  /** `giveUp` answers a request that leaves unsent; without a `why` because its partition can't be served. */
  constructor(context: LaneContext, giveUp: (request: Request, why?: string) => void) {
    this.#context = context;
    this.#giveUp = giveUp;
  }

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  addLast(request: Request): void {
    this.#context.heldBytes += request.bytes.length;
    this.#requests.push(request);
    this.#watchExpiry();
  }

  /** The newest is given up when it is still here and hold-bytes is exceeded. */
  refuseBeyondMax(newest: Request): void {
    const isHere = this.#requests.at(-1) === newest;
    if (!isHere || this.#context.heldBytes <= this.#context.holdBytesMax) return;
    this.#requests.pop();
    this.#context.heldBytes -= newest.bytes.length;
    this.#giveUp(newest, "hold-bytes is used up by requests whose partitions can't be served");
  }

  /** Before all others, in the order given. */
  addFirst(requests: readonly Request[]): void {
    for (const request of requests) this.#context.heldBytes += request.bytes.length;
    this.#requests = [...requests, ...this.#requests];
    // They are older than those that the timer was set for.
    this.#endExpiry?.();
    this.#endExpiry = undefined;
    this.#watchExpiry();
  }

  /** Offers each, oldest first; those for which `take` answers true leave. */
  release(take: (request: Request) => boolean): void {
    const kept: Request[] = [];
    for (const request of this.#requests) {
      if (take(request)) this.#context.heldBytes -= request.bytes.length;
      else kept.push(request);
    }
    this.#requests = kept;
  }

  takeAll(): Request[] {
    const all = this.#requests;
    this.#requests = [];
    for (const request of all) this.#context.heldBytes -= request.bytes.length;
    return all;
  }

  close(): void {
    this.#endExpiry?.();
    this.#endExpiry = undefined;
  }

  #watchExpiry(): void {
    const [first] = this.#requests;
    if (first === undefined || this.#endExpiry !== undefined) return;
    const { clock, holdForMs } = this.#context;
    const leftMs = Math.max(first.sinceMs + holdForMs - clock.nowMs(), 0);
    this.#endExpiry = clock.after(leftMs, () => {
      this.#endExpiry = undefined;
      const isOver = (request: Request): boolean => request.sinceMs + holdForMs <= clock.nowMs();
      const over = this.#requests.filter(isOver);
      this.#requests = this.#requests.filter((request) => !over.includes(request));
      for (const request of over) {
        this.#context.heldBytes -= request.bytes.length;
        this.#giveUp(request);
      }
      this.#watchExpiry();
    });
  }
}

/** Whether one of the keys is among those that are waited for; all keys are when they aren't known. */
export function isAmong(
  keys: readonly string[] | undefined,
  waiting: ReadonlySet<string>,
): boolean {
  if (waiting.size === 0) return false;
  return keys?.some((key) => waiting.has(key)) ?? true;
}
