// output-watch.ts: closes the connection of a client that doesn't read its replies.
//
//   unread bytes exceed output-bytes plus the longest reply -> no byte moves on its socket for STALLED_MS -> closed
//
// A client that reads as fast as it can may have many unread bytes too, because the length of a pipeline's first replies
// is not known in advance. So the criterion is not the amount, but that nothing is read. The socket's timeout shows this:
// node:net fires it when neither side has moved a byte, and not during a long write.
import type { ClientStream } from "./client-stream.ts";
import type { Log } from "../../ports/log.ts";
import type { ClientFacts } from "../../route/session/session-state.ts";
import type { ReplyLine } from "../dispatch/reply-line.ts";
import type { EngineRules } from "../limits.ts";

export const STALLED_MS = 5000;

export interface WatchedClient {
  readonly facts: ClientFacts;
  destroy(): void;
}

/** The rules are read at every use, because they may change. */
interface WatchContext {
  readonly rules: EngineRules;
  readonly log: Log;
}

export class OutputWatch {
  readonly #client: WatchedClient;
  readonly #socket: ClientStream;
  readonly #line: ReplyLine;
  readonly #context: WatchContext;
  #isArmed = false;

  constructor(client: WatchedClient, socket: ClientStream, line: ReplyLine, context: WatchContext) {
    this.#client = client;
    this.#socket = socket;
    this.#line = line;
    this.#context = context;
  }

  /** Call this when a client has many unread bytes. */
  look(): void {
    if (this.#isArmed || !this.#isTooMuch()) return;
    this.#isArmed = true;
    const socket = this.#socket;
    socket.setTimeout?.(STALLED_MS);
    socket.once("timeout", () => {
      socket.setTimeout?.(0);
      this.#stalled();
    });
  }

  #stalled(): void {
    this.#isArmed = false;
    if (!this.#isTooMuch()) return;
    const { outputBytesMax } = this.#context.rules.limits;
    const { address, name } = this.#client.facts.state;
    const waitingBytes = this.#waitingBytes;
    this.#context.log.warn("a client that doesn't read its replies is closed", {
      address,
      name,
      waitingBytes,
      outputBytesMax,
    });
    this.#client.destroy();
  }

  get #waitingBytes(): number {
    return this.#line.waitingBytes + this.#socket.writableLength;
  }

  #isTooMuch(): boolean {
    const { outputBytesMax } = this.#context.rules.limits;
    return this.#waitingBytes > outputBytesMax + this.#line.largestBytes;
  }
}
