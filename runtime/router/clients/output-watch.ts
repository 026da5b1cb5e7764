// output-watch.ts: closes the connection of a client that doesn't take its replies.
//
//   more waits for it than output-bytes and its longest reply -> nothing moves on its socket for a while -> closed
//
// A client that reads as fast as it can may have much waiting too: a pipeline's first replies come before anybody can know
// how long they are. So what counts is not that much waits but that nothing of it is taken. The socket's own timeout
// tells that: node:net rings it when neither side has moved a byte, and not while a long write goes on.
import type { Socket } from "node:net";
import type { Log } from "../../ports/log.ts";
import type { ReplyLine } from "../dispatch/reply-line.ts";
import type { RouterRules } from "../rules/limits.ts";

export const STALLED_MS = 5000;

export interface OutputWatchOptions {
  readonly socket: Socket;
  readonly line: ReplyLine;
  /** Read anew each time: they may change. */
  readonly rules: RouterRules;
  readonly log: Log;
  /** Who it is, for the log. */
  readonly who: () => { readonly address: string; readonly name: string };
  readonly close: () => void;
}

export class OutputWatch {
  readonly #options: OutputWatchOptions;
  #isArmed = false;

  constructor(options: OutputWatchOptions) {
    this.#options = options;
  }

  /** To be called when much waits. */
  look(): void {
    if (this.#isArmed || !this.#isTooMuch()) return;
    this.#isArmed = true;
    this.#options.socket.setTimeout(STALLED_MS, () => {
      this.#stalled();
    });
  }

  #stalled(): void {
    const { socket, rules, log, who, close } = this.#options;
    socket.setTimeout(0);
    socket.removeAllListeners("timeout");
    this.#isArmed = false;
    if (!this.#isTooMuch()) return;
    const { outputBytesMax } = rules.limits;
    const { address, name } = who();
    const waitingBytes = this.#waitingBytes;
    log.warn("a client that doesn't read its replies is closed", {
      ...{ address, name, waitingBytes, outputBytesMax },
    });
    close();
  }

  get #waitingBytes(): number {
    return this.#options.line.waitingBytes + this.#options.socket.writableLength;
  }

  #isTooMuch(): boolean {
    const { line, rules } = this.#options;
    return this.#waitingBytes > rules.limits.outputBytesMax + line.largestBytes;
  }
}
