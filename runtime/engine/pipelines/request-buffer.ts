// request-buffer.ts: the requests of one pipeline that can't be sent yet. Limits: hold-for for each, and hold-bytes for those of
// all pipelines together.
import { WaitingWrites } from "../../route/replies/overtaken.ts";
import type { BufferedRequest, InFlight } from "./in-flight.ts";
import { keysOfRequest } from "./outcome.ts";
import type { PipelineContext } from "./pipeline-context.ts";

/** The result of releaseTo() while the view was not confirmed. It is valid until the view or this buffer changes, so that each
    further request is checked alone instead of all of them again. */
interface Looked {
  readonly mayReadUnconfirmed: boolean;
  readonly waiting: WaitingWrites;
  count: number;
}

/** hold-for may change while requests are buffered: it is read again this often. */
const LOOK_MS = 200;

export class RequestBuffer {
  readonly #context: PipelineContext;
  readonly #mayWrite: () => boolean;
  readonly #giveUp: (request: BufferedRequest, why?: string) => void;
  #requests: BufferedRequest[] = [];
  #looked: Looked | undefined;
  #endExpiry: (() => void) | undefined;
  #isClosed = false;

  /** `mayWrite`: whether the partition takes writes now. `giveUp` rejects a request; without `why`, because the partition
      can't be served. */
  constructor(
    context: PipelineContext,
    mayWrite: () => boolean,
    giveUp: (request: BufferedRequest, why?: string) => void,
  ) {
    this.#context = context;
    this.#mayWrite = mayWrite;
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

  addLast(request: BufferedRequest): void {
    if (this.#isClosed) {
      this.#giveUp(request, this.#context.closingCause);
      return;
    }
    this.#context.bufferedBytes += request.command.length;
    this.#requests.push(request);
  }

  /** Adds requests before all others, in the given order. */
  addFirst(requests: readonly BufferedRequest[]): void {
    if (requests.length === 0) return;
    for (const request of requests) this.#context.bufferedBytes += request.command.length;
    this.#requests = [...requests, ...this.#requests];
    this.#looked = undefined;
    // They are older than the request that the timer was set for.
    this.#endExpiry?.();
    this.#endExpiry = undefined;
    this.watchExpiry();
  }

  /** Passes each request from index `from` on to `take`, oldest first, and removes those for which it returns true. Requests of
      disconnected clients are removed too. */
  #release(take: (request: BufferedRequest) => boolean, from: number): void {
    const requests = this.#requests;
    let kept = from;
    for (let at = from; at < requests.length; at++) {
      const request = requests[at];
      if (request === undefined) continue;
      if (!request.sink.isGone && !take(request)) requests[kept++] = request;
      else this.#context.bufferedBytes -= request.command.length;
    }
    requests.length = kept;
  }

  /** Moves to the wire the requests that may be sent now: while probing, one at a time. While writes are buffered, a client's
      reads must not overtake its own writes of the same keys; other reads may be sent. */
  releaseTo(wire: InFlight, mayReadUnconfirmed: boolean, isProbing: boolean): void {
    if (isProbing && wire.count > 0) return;
    const isConfirmed = this.#mayWrite();
    const isSame = !isConfirmed && !isProbing;
    const last = this.#looked;
    const looked = isSame && last?.mayReadUnconfirmed === mayReadUnconfirmed ? last : undefined;
    const waiting = looked?.waiting ?? new WaitingWrites();
    this.#release((request) => {
      const { owner } = request.sink;
      const mayRead =
        request.isRead &&
        mayReadUnconfirmed &&
        (isConfirmed || !waiting.concern(owner, () => keysOfRequest(request)));
      if (!(isConfirmed || mayRead) || (isProbing && wire.count > 0)) {
        if (!request.isRead && !isConfirmed) waiting.add(owner, keysOfRequest(request));
        return false;
      }
      wire.putBuffered(request);
      return true;
    }, looked?.count ?? 0);
    const count = this.#requests.length;
    this.#looked = isSame ? { mayReadUnconfirmed, waiting, count } : undefined;
  }

  /** Rejects the newest request if it is still buffered and hold-bytes is exceeded. A single request is never rejected for
      its size: otherwise one larger than hold-bytes could never wait for a connection. */
  refuseBeyondMax(newest: BufferedRequest): void {
    const isHere = this.#requests.at(-1) === newest;
    if (this.#context.bufferedBytes > this.#context.holdBytesMax) this.#context.makeRoom?.();
    const { bufferedBytes, holdBytesMax } = this.#context;
    const isAlone = bufferedBytes === newest.command.length;
    if (!isHere || isAlone || bufferedBytes <= holdBytesMax) return;
    this.#requests.pop();
    if (this.#looked !== undefined) this.#looked.count = this.#requests.length;
    this.#context.bufferedBytes -= newest.command.length;
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
      const isOver = (request: BufferedRequest): boolean => request.sinceMs <= oldestMs;
      const over = this.#requests.filter(isOver);
      this.#requests = this.#requests.filter((request) => !isOver(request));
      this.#looked = undefined;
      for (const request of over) {
        this.#context.bufferedBytes -= request.command.length;
        this.#giveUp(request);
      }
      this.watchExpiry();
    });
  }

  /** Removes and returns all requests, oldest first. */
  takeAll(): BufferedRequest[] {
    this.#endExpiry?.();
    this.#endExpiry = undefined;
    const all = this.#requests;
    this.#requests = [];
    this.#looked = undefined;
    for (const request of all) this.#context.bufferedBytes -= request.command.length;
    return all;
  }

  /** Rejects every request. */
  close(why: string): void {
    this.#isClosed = true;
    this.#endExpiry?.();
    const rest = this.#requests;
    this.#requests = [];
    for (const request of rest) {
      this.#context.bufferedBytes -= request.command.length;
      this.#giveUp(request, why);
    }
  }
}
