// output-watch.ts: closes the connection of a client that doesn't take its replies.
//
//   more waits for it than output-bytes and its longest reply -> nothing moves on its socket for a while -> closed
//
// A client that reads as fast as it can may have much waiting too: a pipeline's first replies come before anybody can know
// how long they are. So what counts is not that much waits but that nothing of it is taken. The socket's own timeout
// tells that: node:net rings it when neither side has moved a byte, and not while a long write goes on.
import type { Socket } from "node:net";
import type { Log } from "../../ports/log.ts";
import type { ClientFacts } from "../../route/session-state.ts";
import type { ReplyLine } from "../dispatch/reply-line.ts";
import type { RouterRules } from "../rules/limits.ts";

export const STALLED_MS = 5000;

export interface WatchedClient {
  readonly facts: ClientFacts;
  destroy(): void;
}

/** The rules are read anew each time: they may change. */
interface WatchContext {
  readonly rules: RouterRules;
  readonly log: Log;
}

export class OutputWatch {
  readonly #client: WatchedClient;
  readonly #socket: Socket;
  readonly #line: ReplyLine;
  readonly #context: WatchContext;
  #isArmed = false;

  constructor(client: WatchedClient, socket: Socket, line: ReplyLine, context: WatchContext) {
    this.#client = client;
    this.#socket = socket;
    this.#line = line;
    this.#context = context;
  }

  /** To be called when much waits. */
  look(): void {
    if (this.#isArmed || !this.#isTooMuch()) return;
    this.#isArmed = true;
    const socket = this.#socket;
    socket.setTimeout(STALLED_MS);
    socket.once("timeout", () => {
      socket.setTimeout(0);
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
