// reply-sink.ts: whoever waits for replies. The hot path carries a sink and a number that the sink understands (which of
// its replies this is), so that no closure is made per command.
import type { WrittenPartitions } from "../../route/written-partitions.ts";

/** Whoever asked. Requests of one that is gone are not sent any more. */
export interface Requester {
  readonly isGone: boolean;
  /** Where it has written; of clients alone. */
  readonly written?: WrittenPartitions;
}

export interface ReplySink {
  /** The client that it answers: one client's reads must not overtake its own writes. */
  readonly owner: Requester;
  readonly isGone: boolean;
  /** The reply bytes[start, end), true only during the call. Called once per tag, or never when the sink is gone. */
  take(tag: number, bytes: Buffer, start: number, end: number): void;
}

/** A sink for one reply, kept: for the commands that are not hot. */
export class KeptReply implements ReplySink {
  readonly owner: Requester;
  readonly #done: (reply: Buffer) => void;

  constructor(owner: Requester, done: (reply: Buffer) => void) {
    this.owner = owner;
    this.#done = done;
  }

  get isGone(): boolean {
    return this.owner.isGone;
  }

  take(_tag: number, bytes: Buffer, start: number, end: number): void {
    this.#done(Buffer.from(bytes.subarray(start, end)));
  }
}
