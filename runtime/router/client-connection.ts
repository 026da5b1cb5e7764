// client-connection.ts: one client of the router: commands in, replies out in the same order.
//
//   bytes -> splitter -> slot 1, 2, 3 ...   replies come in any order and leave from slot 1 on
//
// Reading stops while too many replies are owed or the client doesn't take those it has, so that a client that never
// reads costs a bounded amount of memory.
import type { Socket } from "node:net";
import { errorReply, type Protocol } from "../resp/encode.ts";
import { UNAUTHENTICATED_LIMITS, REQUEST_LIMITS, RespError } from "../resp/limits.ts";
import { RequestSplitter, type Request } from "../resp/request-splitter.ts";
import { isSessionCommand } from "../route/decide.ts";
import { afterRefusedMulti } from "../route/refused-multi.ts";
import {
  answerSession,
  BEFORE_AUTH,
  NOAUTH_REPLY,
  openSession,
  type SessionState,
} from "../route/session.ts";
import { dispatch, type DispatchContext } from "./dispatch.ts";
import type { Requester } from "./lane.ts";

interface Slot {
  reply: Buffer | undefined;
  readonly requestBytes: number;
}

export interface ClientContext extends DispatchContext {
  readonly password: string | undefined;
  readonly holdForMs: number;
}

/** No command is named so: it is a browser that was made to send HTTP here, and what follows could be anything. Redis
    closes such connections too (its securityWarningCommand). */
const HTTP_WORDS: ReadonlySet<string> = new Set(["post", "host:"]);

/** Replies owed to one client, and the bytes of their requests, before its reading stops. */
const OWED_MAX = 1024;
const OWED_BYTES_MAX = 16 * 1024 * 1024;

export class ClientConnection implements Requester {
  isGone = false;
  readonly #socket: Socket;
  readonly #context: ClientContext;
  readonly #splitter = new RequestSplitter();
  #session: SessionState;
  #slots: Slot[] = [];
  #owedBytes = 0;
  /** A command is still being placed: the next must not overtake it. */
  #isPlacing = false;
  /** The client sends nothing more; what it sent may still wait in the splitter. */
  #isInputOver = false;
  /** No more commands are taken: the client or the router is leaving. */
  #isEnding = false;
  #isFlushing = false;
  #isMultiRefused = false;
  /** Runs when no reply is owed any more. */
  #whenIdle: (() => void) | undefined;

  constructor(socket: Socket, id: number, context: ClientContext) {
    this.#socket = socket;
    this.#context = context;
    const address = `${socket.remoteAddress ?? "unixsocket"}:${socket.remotePort ?? 0}`;
    this.#session = openSession(id, address, context.password !== undefined);
    if (!this.#session.isAuthenticated) this.#splitter.limits = UNAUTHENTICATED_LIMITS;
    socket.on("data", (chunk) => {
      this.#splitter.push(chunk);
      this.#pump();
    });
    socket.on("drain", () => {
      this.#pump();
    });
    socket.on("end", () => {
      // A client may close its side and still read: all that it sent before is answered.
      this.#isInputOver = true;
      this.#pump();
      this.#flush();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.isGone = true;
      this.#slots = [];
    });
  }

  /** Answers what was sent and ends the connection. */
  drain(): void {
    this.#isEnding = true;
    this.#flush();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #pump(): void {
    try {
      while (!this.#isPlacing && !this.#isEnding && !this.isGone && !this.#isFull()) {
        const request = this.#splitter.next();
        if (request === undefined) {
          this.#isEnding = this.#isInputOver;
          break;
        }
        this.#take(request);
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      // Where the next command begins can't be known any more: Redis closes then, and so do we.
      this.#answer(this.#slot(0), errorReply(`ERR ${error.message}`));
      this.drain();
    }
    if (this.#isPlacing || this.#isFull()) this.#socket.pause();
    else this.#socket.resume();
  }

  #isFull(): boolean {
    return (
      this.#slots.length >= OWED_MAX ||
      this.#owedBytes >= OWED_BYTES_MAX ||
      this.#socket.writableNeedDrain
    );
  }

  #take(request: Request): void {
    const name = request.args[0]?.toString("latin1", 0, 16).toLowerCase() ?? "";
    if (HTTP_WORDS.has(name)) {
      this.destroy();
      this.isGone = true;
      return;
    }
    if (!this.#session.isAuthenticated && !BEFORE_AUTH.has(name)) {
      this.#answer(this.#slot(0), NOAUTH_REPLY);
    } else if (this.#isMultiRefused && this.#answerAfterMulti(name)) {
      // It is part of a transaction that will not be.
    } else if (!isSessionCommand(request.args)) {
      if (name === "multi") this.#isMultiRefused = true;
      this.#send(request);
    } else if ((name === "hello" || name === "reset") && this.#slots.length > 0) {
      // The protocol may change: the commands before it have other connections, which its followers must not outrun.
      this.#isPlacing = true;
      this.#whenIdle = () => {
        this.#answerItself(request);
      };
    } else {
      this.#answerItself(request);
    }
  }

  /** False when the session answers it after all. */
  #answerAfterMulti(name: string): boolean {
    const after = afterRefusedMulti(name);
    this.#isMultiRefused = after?.isOver === false;
    if (after !== undefined) this.#answer(this.#slot(0), after.reply);
    return after !== undefined;
  }

  #answerItself(request: Request): void {
    const slot = this.#slot(0);
    const answer = answerSession(this.#session, request.args, {
      password: this.#context.password,
      redisVersion: this.#context.commands.redisVersion,
    });
    this.#session = answer.state;
    const { isAuthenticated } = answer.state;
    this.#splitter.limits = isAuthenticated ? REQUEST_LIMITS : UNAUTHENTICATED_LIMITS;
    if (answer.isLast) this.#isEnding = true;
    this.#answer(slot, answer.reply);
  }

  #send(request: Request): void {
    const slot = this.#slot(request.raw.length);
    const protocol: Protocol = this.#session.protocol;
    const errand = {
      request,
      protocol,
      from: this,
      done: (reply: Buffer): void => {
        this.#answer(slot, reply);
      },
    };
    if (this.#context.commands.table === undefined) {
      this.#isPlacing = true;
      this.#context.commands.whenKnown(() => {
        this.#placed(dispatch(errand, this.#context));
      }, this.#context.holdForMs);
      return;
    }
    const placing = dispatch(errand, this.#context);
    if (placing !== undefined) this.#placed(placing);
  }

  /** Goes on with the next command when this one was handed to its lanes. */
  #placed(placing: Promise<void> | undefined): void {
    this.#isPlacing = true;
    const goOn = (): void => {
      this.#isPlacing = false;
      this.#pump();
      this.#flush();
    };
    if (placing === undefined) goOn();
    else void placing.then(goOn);
  }

  #slot(requestBytes: number): Slot {
    const slot: Slot = { reply: undefined, requestBytes };
    this.#slots.push(slot);
    this.#owedBytes += requestBytes;
    return slot;
  }

  #answer(slot: Slot, reply: Buffer): void {
    slot.reply = reply;
    if (slot !== this.#slots[0] || this.#isFlushing) return;
    // Replies of one turn leave in one write.
    this.#isFlushing = true;
    process.nextTick(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.isGone) return;
    const count = this.#slots.findIndex(({ reply }) => reply === undefined);
    const ready = this.#slots.splice(0, count === -1 ? this.#slots.length : count);
    for (const { requestBytes } of ready) this.#owedBytes -= requestBytes;
    const replies = ready.map(({ reply }) => reply ?? Buffer.alloc(0));
    if (replies.length > 0 && this.#socket.writable) this.#socket.write(Buffer.concat(replies));
    if (this.#slots.length > 0) return;
    const idle = this.#whenIdle;
    if (idle !== undefined) {
      this.#whenIdle = undefined;
      this.#isPlacing = false;
      idle();
    }
    if (!this.#isEnding) this.#pump();
    if (this.#isEnding && this.#slots.length === 0) this.#socket.end();
  }
}
