// reply-sink.ts: the receiver of replies. The fast path passes a sink and a tag, the sink's number for the reply, so that no
// closure is made for each command.
import type { WrittenPartitions } from "../../route/session/written-partitions.ts";

/** The client of a request. After it has disconnected (isGone), its requests are not sent any more. */
export interface Requester {
  readonly isGone: boolean;
  /** The partitions that it has written to; clients only. */
  readonly written?: WrittenPartitions;
}

export interface ReplySink {
  /** The client that gets the replies: its reads must not overtake its own writes. */
  readonly owner: Requester;
  readonly isGone: boolean;
  /** Takes the reply bytes[start, end), valid only during the call. Called once for each tag, or never when isGone. */
  take(tag: number, bytes: Buffer, start: number, end: number): void;
}

/** A sink for one reply, which it copies: for commands that do not use the fast path. */
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
