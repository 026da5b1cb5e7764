// wire.ts: one raw connection that tells of every reply as it came. No retries, no queue and no timers of its own: what
// the writers measure must not be what a client library waits for.
import { connect, type Socket } from "node:net";
import { ReplyScanner } from "../../runtime/resp/reply-scanner.ts";

export interface WireEvents {
  onOpen(): void;
  onReply(raw: Buffer): void;
  /** Once; never after close(). */
  onBroken(why: string): void;
}

export class Wire {
  readonly #socket: Socket;
  readonly #scanner = new ReplyScanner();
  #isOver = false;

  constructor(port: number, events: WireEvents) {
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    let why = "closed";
    this.#socket.on("connect", () => {
      if (!this.#isOver) events.onOpen();
    });
    this.#socket.on("error", (error: NodeJS.ErrnoException) => {
      why = error.code ?? error.message;
    });
    this.#socket.on("close", () => {
      if (this.#isOver) return;
      this.#isOver = true;
      events.onBroken(why);
    });
    this.#socket.on("data", (chunk) => {
      this.#scanner.push(chunk);
      for (let raw = this.#scanner.next(); raw !== undefined; raw = this.#scanner.next()) {
        if (this.#isOver) return;
        events.onReply(raw);
      }
    });
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }
}
