// client-connection.ts: one client of the router: commands in, replies out in the same order.
//
//   bytes -> splitter -> hot-route, or session, or dispatch     replies come in any order -> reply-line -> one write a turn
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
import type { HotRoute } from "./hot-route.ts";
import { ReplyLine } from "./reply-line.ts";
import type { ReplySink, Requester } from "./reply-sink.ts";
import type { Turn, TurnMember } from "./turn.ts";

export interface ClientContext extends DispatchContext {
  readonly password: string | undefined;
  readonly holdForMs: number;
  readonly hotRoute: HotRoute;
  readonly turn: Turn;
}

/** No command is named so: it is a browser that was made to send HTTP here, and what follows could be anything. Redis
    closes such connections too (its securityWarningCommand). */
const HTTP_WORDS: ReadonlySet<string> = new Set(["post", "host:"]);

/** Replies owed to one client, and the bytes of their requests, before its reading stops. */
const OWED_MAX = 1024;
const OWED_BYTES_MAX = 16 * 1024 * 1024;
/** While more replies are owed, those that have come wait for so many turns of the event loop: the replies of one pipeline
    come from several partitions, and one write for all of them costs less than one for each. Turns are not time: when
    nothing else is to be done they pass at once. */
const TURNS_WAITED_MAX = 2;
/** As much of a command that is not whole yet is moved out of the chunk that it came in. */
const LEFT_OVER_BYTES_MAX = 4096;

export class ClientConnection implements Requester, ReplySink, TurnMember {
  isGone = false;
  readonly owner: Requester = this;
  readonly #socket: Socket;
  readonly #context: ClientContext;
  readonly #splitter = new RequestSplitter();
  #session: SessionState;
  readonly #line: ReplyLine;
  /** Signed up for the end of the turn. */
  #isDue = false;
  #isPaused = false;
  #turnsWaited = 0;
  /** A command is still being placed: the next must not overtake it. */
  #isPlacing = false;
  /** The client sends nothing more; what it sent may still wait in the splitter. */
  #isInputOver = false;
  /** No more commands are taken: the client or the router is leaving. */
  #isEnding = false;
  #isMultiRefused = false;
  /** Runs when no reply is owed any more. */
  #whenIdle: (() => void) | undefined;

  constructor(socket: Socket, id: number, context: ClientContext) {
    this.#socket = socket;
    this.#context = context;
    const { stats } = context;
    this.#line = new ReplyLine(stats.tally);
    const address = `${socket.remoteAddress ?? "unixsocket"}:${socket.remotePort ?? 0}`;
    this.#session = openSession(id, address, context.password !== undefined);
    if (!this.#session.isAuthenticated) this.#splitter.limits = UNAUTHENTICATED_LIMITS;
    socket.on("data", (chunk) => {
      stats.receivedBytes += chunk.length;
      this.#splitter.push(chunk);
      this.#pump();
      if (this.#splitter.waitingBytes <= LEFT_OVER_BYTES_MAX) this.#splitter.letGo();
    });
    socket.on("drain", () => {
      this.#pump();
    });
    socket.on("end", () => {
      // A client may close its side and still read: all that it sent before is answered.
      stats.clientEof++;
      this.#isInputOver = true;
      this.#pump();
      this.flush();
    });
    socket.on("error", () => {
      stats.clientErrors++;
      socket.destroy();
    });
    socket.on("close", () => {
      this.isGone = true;
    });
  }

  /** Answers what was sent and ends the connection. */
  drain(): void {
    this.#isEnding = true;
    this.flush();
  }

  take(tag: number, bytes: Buffer, start: number, end: number): void {
    if (this.isGone) return;
    this.#line.take(tag, bytes, start, end);
    if (this.#isDue || !this.#line.hasOutput) return;
    this.#isDue = true;
    this.#context.turn.addClient(this);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #pump(): void {
    const { hotRoute } = this.#context;
    try {
      while (!this.#isPlacing && !this.#isEnding && !this.isGone && !this.#isFull()) {
        if (!this.#splitter.advance()) {
          this.#isEnding = this.#isInputOver;
          break;
        }
        const isHot =
          this.#session.isAuthenticated &&
          !this.#isMultiRefused &&
          hotRoute.send(this, this.#line, this.#splitter, this.#session.protocol);
        if (!isHot) this.#take(this.#splitter.request());
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      // Where the next command begins can't be known any more: Redis closes then, and so do we.
      this.#answer(this.#line.expect(0), errorReply(`ERR ${error.message}`));
      this.drain();
    }
    const mustPause = this.#isPlacing || this.#isFull();
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#socket.pause();
    else this.#socket.resume();
  }

  #isFull(): boolean {
    return (
      this.#line.owed >= OWED_MAX ||
      this.#line.owedBytes >= OWED_BYTES_MAX ||
      this.#socket.writableNeedDrain
    );
  }

  #take(request: Request): void {
    const name = request.args[0]?.toString("latin1", 0, 32).toLowerCase() ?? "";
    this.#line.command = this.#context.stats.tally.numberOf(name);
    if (HTTP_WORDS.has(name)) {
      this.destroy();
      this.isGone = true;
      return;
    }
    if (!this.#session.isAuthenticated && !BEFORE_AUTH.has(name)) {
      this.#answer(this.#line.expect(0), NOAUTH_REPLY);
    } else if (this.#isMultiRefused && this.#answerAfterMulti(name)) {
      // It is part of a transaction that will not be.
    } else if (!isSessionCommand(request.args)) {
      if (name === "multi") this.#isMultiRefused = true;
      this.#send(request);
    } else if ((name === "hello" || name === "reset") && this.#line.owed > 0) {
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
    if (after !== undefined) this.#answer(this.#line.expect(0), after.reply);
    return after !== undefined;
  }

  #answerItself(request: Request): void {
    const tag = this.#line.expect(0);
    const answer = answerSession(this.#session, request.args, {
      password: this.#context.password,
      redisVersion: this.#context.commands.redisVersion,
    });
    this.#session = answer.state;
    const { isAuthenticated } = answer.state;
    this.#splitter.limits = isAuthenticated ? REQUEST_LIMITS : UNAUTHENTICATED_LIMITS;
    if (answer.isLast) this.#isEnding = true;
    this.#answer(tag, answer.reply);
  }

  #send(request: Request): void {
    const tag = this.#line.expect(request.raw.length);
    const protocol: Protocol = this.#session.protocol;
    const errand = {
      request,
      protocol,
      from: this,
      done: (reply: Buffer): void => {
        this.#answer(tag, reply);
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
      this.flush();
    };
    if (placing === undefined) goOn();
    else void placing.then(goOn);
  }

  #answer(tag: number, reply: Buffer): void {
    this.take(tag, reply, 0, reply.length);
  }

  /** At the turn's end: the replies whose turn it is leave in one write. */
  flush(): void {
    this.#isDue = false;
    if (this.isGone) return;
    if (this.#line.owed > 0 && this.#turnsWaited < TURNS_WAITED_MAX && !this.#isEnding) {
      this.#turnsWaited++;
      this.#isDue = true;
      this.#context.turn.addClient(this);
      return;
    }
    this.#turnsWaited = 0;
    this.#line.flush((bytes) => {
      this.#context.stats.sentBytes += bytes.length;
      if (this.#socket.writable) this.#socket.write(bytes);
      // Once the system has taken all of them, the bytes are free for other replies.
      return this.#socket.writableLength === 0;
    });
    if (this.#line.owed === 0) this.#idle();
    if (!this.#isEnding && this.#isPaused) this.#pump();
    if (this.#isEnding && this.#line.owed === 0) this.#socket.end();
  }

  #idle(): void {
    const idle = this.#whenIdle;
    if (idle === undefined) return;
    this.#whenIdle = undefined;
    this.#isPlacing = false;
    idle();
  }
}
