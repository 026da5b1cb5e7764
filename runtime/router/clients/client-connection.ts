// client-connection.ts: one client of the router: commands in, replies out in the same order.
//
//   bytes -> splitter -> hot-route, or session, or dispatch     replies come in any order -> reply-line -> one write a turn
//
// Reading stops while too many replies are owed or the client doesn't take those it has, so that a client that never
// reads costs a bounded amount of memory.
import type { Socket } from "node:net";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { errorReply, type Protocol } from "../../resp/encode.ts";
import { RespError } from "../../resp/limits.ts";
import { RequestSplitter, type Request } from "../../resp/request-splitter.ts";
import { isSessionCommand } from "../../route/decide.ts";
import { BEFORE_AUTH, NOAUTH_REPLY } from "../../route/session.ts";
import type { ClientFacts } from "../../route/session-state.ts";
import { OutputWatch } from "./output-watch.ts";
import { onChunk } from "./shared-reads.ts";
import { ClientSession, type ClientSessionContext } from "./client-session.ts";
import type { Errand } from "../dispatch/dispatch.ts";
import type { HotRoute } from "../dispatch/hot-route.ts";
import { LEAVES, OwnWays } from "../own-connections/own-ways.ts";
import type { OwnClient, OwnContext } from "../own-connections/own-client.ts";
import { WrittenPartitions } from "../../route/written-partitions.ts";
import {
  AHEAD_BYTES_MAX,
  LINGER_MS,
  OWED_BYTES_MAX,
  QUIET_TURNS,
  TURNS_WAITED_MAX,
  HTTP_WORDS,
  OUTPUT_BYTES_LEAST,
  OWED_FIRST,
  owedMaxOf,
} from "../rules/limits.ts";
import { ReplyLine } from "../dispatch/reply-line.ts";
import type { ReplySink, Requester } from "../lanes/reply-sink.ts";
import type { Turn, TurnMember } from "../lanes/turn.ts";

export interface ClientContext extends OwnContext, ClientSessionContext {
  readonly hotRoute: HotRoute;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly log: Log;
}

export class ClientConnection implements OwnClient, ReplySink, TurnMember {
  isGone = false;
  readonly owner: Requester = this;
  readonly #socket: Socket;
  readonly #context: ClientContext;
  readonly #splitter = new RequestSplitter();
  readonly #session: ClientSession;
  readonly #line: ReplyLine;
  /** Signed up for the end of the turn. */
  #isDue = false;
  #isPaused = false;
  #turnsWaited = 0;
  /** Replies that may be owed before reading stops. */
  #owedMax = OWED_FIRST;
  /** When it spoke last, or got the last reply that it was owed. */
  #heardAtMs: number;
  readonly #openedAtMs: number;
  /** A command is still being placed: the next must not overtake it. */
  #isPlacing = false;
  /** The client sends nothing more; what it sent may still wait in the splitter. */
  #isInputOver = false;
  /** No more commands are taken: the client or the router is leaving. What comes is thrown away. */
  #isEnding = false;
  /** It ends as soon as nothing is owed and nothing has come for so many turns. */
  #isDraining = false;
  #quietTurns = 0;
  #hasEnded = false;
  readonly written: WrittenPartitions;
  readonly #own: OwnWays;
  #outputWatch: OutputWatch | undefined;
  /** Runs when the newest command's reply is the only one that is owed. */
  #whenFirst: (() => void) | undefined;
  /** Runs when no reply is owed any more. */
  #whenIdle: (() => void) | undefined;

  constructor(socket: Socket, id: number, context: ClientContext) {
    this.#socket = socket;
    this.#context = context;
    const { stats } = context;
    this.#line = new ReplyLine(stats.tally);
    this.written = new WrittenPartitions(context.own.terms);
    this.#own = new OwnWays(this, context);
    this.#session = new ClientSession(id, socket, context);
    this.#splitter.limits = this.#session.requestLimits;
    this.#heardAtMs = this.#openedAtMs = context.turn.nowMs;
    onChunk(socket, (chunk) => {
      this.#receive(chunk);
    });
    socket.on("drain", () => {
      this.#pump();
    });
    socket.on("end", () => {
      stats.clientEof++;
      // A client may close its side and still read: all that it sent before is answered, unless that waits for others.
      if (this.#own.isWaiting) this.destroy();
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
      this.#own.leave();
    });
  }

  /** Answers what was sent, and what is sent meanwhile, and ends the connection at the first quiet moment. */
  drain(): void {
    this.#isDraining = true;
    this.#splitter.letGo();
    this.#context.turn.addClient(this);
  }

  /** Answers what was taken, takes no more, and ends the connection. */
  end(): void {
    this.#isEnding = true;
    this.flush();
  }

  /** It has sent nothing since then and waits for nothing. */
  isIdleSince(ms: number): boolean {
    const isIdle = this.#line.owed === 0 && !this.#isPlacing && !this.#own.isSubscribed;
    return isIdle && this.#heardAtMs < ms;
  }

  /** The limits or the users are others now. Whoever is none of the users any more is answered and leaves. */
  rulesChanged(): void {
    const couldWrite = !this.#session.state.isReadOnly;
    const isKnown = this.#session.recheck();
    // Who waits at a node would still be given what it may see no more.
    if (!isKnown && this.#own.isWaiting) this.destroy();
    else if (!isKnown) this.end();
    if (couldWrite && this.#session.state.isReadOnly) this.#own.spoil();
    this.#splitter.limits = this.#session.requestLimits;
  }

  #receive(chunk: Buffer): void {
    this.#context.stats.receivedBytes += chunk.length;
    if (this.#isEnding) return;
    this.#heardAtMs = this.#context.turn.nowMs;
    this.#quietTurns = 0;
    this.#splitter.push(chunk);
    this.#pump();
    this.#splitter.letGo();
  }

  take(tag: number, bytes: Buffer, start: number, end: number): void {
    if (this.isGone) return;
    this.#line.take(tag, bytes, start, end);
    // What it waited for has come: until now it was not idle.
    if (this.#line.owed === 0) this.#heardAtMs = this.#context.turn.nowMs;
    if (this.#isDue) return;
    // Nothing to send and nothing owed: the replies were not wanted (CLIENT REPLY), and somebody may wait for the end.
    if (!this.#line.hasOutput && this.#line.owed > 1) {
      if (this.#line.waitingBytes > OUTPUT_BYTES_LEAST) this.#watchOutput();
      return;
    }
    this.#isDue = true;
    this.#context.turn.addClient(this);
  }

  #watchOutput(): void {
    this.#outputWatch ??= new OutputWatch(this, this.#socket, this.#line, this.#context);
    this.#outputWatch.look();
  }

  destroy(): void {
    this.isGone = true;
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
          this.#session.state.isAuthenticated &&
          !this.#own.takesAll &&
          hotRoute.send(this, this.#line, this.#splitter, this.#session.state);
        if (!isHot) this.#take(this.#splitter.request());
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      // Where the next command begins can't be known any more: Redis closes then, and so do we.
      this.#answer(this.#line.expect(0), errorReply(`ERR ${error.message}`));
      this.end();
    }
    this.#readOrPause();
  }

  #readOrPause(): void {
    // Who waits for its turn is read on too: whether it has ended its side should be known before it waits at a node.
    const isWaiting = this.#whenFirst !== undefined || this.#own.isWaiting;
    const readsAhead = isWaiting && this.#splitter.waitingBytes < AHEAD_BYTES_MAX;
    const mustPause = (this.#isPlacing && !readsAhead) || this.#isFull();
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause && !this.#isEnding) this.#socket.pause();
    else this.#socket.resume();
  }

  #isFull(): boolean {
    return (
      this.#line.owed >= this.#owedMax ||
      this.#line.owedBytes >= OWED_BYTES_MAX ||
      this.#socket.writableNeedDrain
    );
  }

  #take(request: Request): void {
    const name = request.args[0]?.toString("latin1", 0, 32).toLowerCase() ?? "";
    this.#line.command = this.#context.stats.tally.numberOf(name);
    if (HTTP_WORDS.has(name)) {
      this.destroy();
      return;
    }
    const isWithin = this.#own.takesAll;
    if (!this.#session.state.isAuthenticated && !BEFORE_AUTH.has(name)) {
      this.#answer(this.#line.expect(0), NOAUTH_REPLY);
    } else if (!isSessionCommand(request.args) || (isWithin && !LEAVES.has(name))) {
      this.#send(request, name);
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

  #answerItself(request: Request): void {
    if (request.args[0]?.toString("latin1").toLowerCase() === "reset") {
      this.#own.leave();
      this.written.clear();
    }
    const tag = this.#line.expect(0);
    const answer = this.#session.answer(request.args, this.facts);
    if (answer.replies !== undefined) this.#line.setReplies(answer.replies, tag);
    this.#splitter.limits = this.#session.requestLimits;
    if (answer.isLast) this.#isEnding = true;
    this.#answer(tag, answer.reply);
  }

  #send(request: Request, name: string): void {
    const tag = this.#line.expect(request.raw.length);
    const { protocol } = this.#session.state;
    const errand: Errand = {
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
        this.#placed(this.#own.dispatch(name, errand, this.#session.refusal(request.args)));
      }, this.#context.rules.settings.holdForMs);
      return;
    }
    const placing = this.#own.dispatch(name, errand, this.#session.refusal(request.args));
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

  whenFirst(task: () => void): void {
    this.#isPlacing = true;
    if (this.#line.owed > 1) {
      this.#whenFirst = task;
      this.#readOrPause();
    } else this.#runFirst(task);
  }

  #runFirst(task: () => void): void {
    this.#whenFirst = undefined;
    if (this.isGone) return;
    task();
    if (this.#isDraining) this.#watchQuiet();
    if (this.#isInputOver && this.#own.isWaiting) {
      // It may be answered at once; a client that can't be seen leaving must not wait for ever.
      this.#context.clock.after(LINGER_MS, () => {
        if (this.#own.isWaiting) this.destroy();
      });
    }
    // It may wait at a node now, and then the client is read on.
    this.#pump();
  }

  push(bytes: Buffer, start: number, end: number): void {
    if (this.isGone) return;
    this.#line.push(bytes, start, end);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#context.turn.addClient(this);
  }

  /** For CLIENT LIST. */
  get facts(): ClientFacts {
    const { nowMs } = this.#context.turn;
    const [ageMs, idleMs] = [nowMs - this.#openedAtMs, nowMs - this.#heardAtMs];
    return this.#session.facts(ageMs, idleMs, this.#own.isSubscribed);
  }

  get protocol(): Protocol {
    return this.#session.state.protocol;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
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
    const { outputBytesMax } = this.#context.rules.limits;
    this.#owedMax = owedMaxOf(this.#line.usualBytes, outputBytesMax);
    if (this.#socket.writableLength > OUTPUT_BYTES_LEAST) this.#watchOutput();
    if (this.#line.owed === 0) this.#idle();
    if (this.#line.owed <= 1 && this.#whenFirst !== undefined) this.#runFirst(this.#whenFirst);
    if (!this.#isEnding && this.#isPaused) this.#pump();
    if (this.#isDraining && !this.#isEnding) this.#watchQuiet();
    if (this.#isEnding && this.#line.owed === 0) this.#bidFarewell();
  }

  /** Ends the connection when nothing is owed and nothing has come for a few turns. */
  #watchQuiet(): void {
    // What waits at a node may wait for ever; nothing was done of it.
    if (this.#own.isWaiting) this.destroy();
    const isQuiet = this.#line.owed === 0 && this.#splitter.waitingBytes === 0 && !this.#isPlacing;
    if (!isQuiet) return;
    this.#isEnding = this.#quietTurns++ >= QUIET_TURNS;
    if (!this.#isEnding) this.#context.turn.addClient(this);
  }

  /** Ends our side and reads on: a connection that is closed with bytes unread is reset, and the reset overtakes replies
      that the client has not read yet. A client that doesn't end its side is cut off. */
  #bidFarewell(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#socket.end(() => {
      const endTimer = this.#context.clock.after(LINGER_MS, () => this.#socket.destroy());
      this.#socket.on("close", endTimer);
    });
    this.#socket.resume();
  }

  #idle(): void {
    const idle = this.#whenIdle;
    if (idle === undefined) return;
    this.#whenIdle = undefined;
    this.#isPlacing = false;
    idle();
  }
}
