// client-connection.ts: one client of the router: commands in, replies out in the same order.
//
//   bytes -> splitter -> fast-path, or session, or dispatch     replies in any order -> reply-line -> one write a tick
//
// Reading stops while too many replies are outstanding or unread, so that a client that never reads uses limited memory.
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { errorReply, type Protocol } from "../../resp/encode.ts";
import { RespError } from "../../resp/limits.ts";
import { RequestSplitter, type Request } from "../../resp/request-splitter.ts";
import { isSessionCommand } from "../../route/decide.ts";
import { BEFORE_AUTH, NOAUTH_REPLY } from "../../route/session/session.ts";
import type { ClientFacts } from "../../route/session/session-state.ts";
import type { OutputBudget } from "./output-budget.ts";
import { OutputWatch } from "./output-watch.ts";
import { endGently, writeTo, type ClientStream } from "./client-stream.ts";
import { onChunk } from "./shared-reads.ts";
import { ClientSession, type ClientSessionContext, type OwnOptions } from "./client-session.ts";
import type { PendingCommand } from "../dispatch/pending-command.ts";
import type { FastPath } from "../dispatch/fast-path.ts";
import { LEAVES, DedicatedConnections } from "../dedicated/dedicated-connections.ts";
import type { DedicatedClient, DedicatedContext } from "../dedicated/dedicated-client.ts";
import { WrittenPartitions } from "../../route/session/written-partitions.ts";
import {
  AHEAD_BYTES_MAX,
  LINGER_MS,
  OWED_BYTES_MAX,
  QUIET_TICKS,
  TICKS_WAITED_MAX,
  HTTP_WORDS,
  OUTPUT_BYTES_LEAST,
  OWED_FIRST,
  owedMaxOf,
} from "../limits.ts";
import { ReplyLine } from "../dispatch/reply-line.ts";
import type { ReplySink, Requester } from "../pipelines/reply-sink.ts";
import type { Tick, TickMember } from "../pipelines/tick.ts";

export interface ClientContext extends DedicatedContext, ClientSessionContext {
  readonly fastPath: FastPath;
  readonly tick: Tick;
  readonly output: OutputBudget;
  readonly clock: Clock;
  readonly log: Log;
}

export class ClientConnection implements DedicatedClient, ReplySink, TickMember {
  readonly id: number;
  isGone = false;
  readonly owner: Requester = this;
  readonly #isTrusted: boolean;
  readonly #socket: ClientStream;
  readonly #context: ClientContext;
  readonly #splitter = new RequestSplitter();
  readonly #session: ClientSession;
  readonly #line: ReplyLine;
  #isDue = false;
  #isPaused = false;
  #ticksWaited = 0;
  /** The limit of outstanding replies at which reading stops. */
  #owedMax = OWED_FIRST;
  /** When it last sent bytes, or got its last outstanding reply. */
  #heardAtMs: number;
  readonly #openedAtMs: number;
  /** A command is still being dispatched: the next one must not overtake it. */
  #isPlacing = false;
  /** The client has closed its side; the splitter may still have commands. */
  #isInputOver = false;
  /** No more commands are executed, because the client or the router is closing. Further input is discarded. */
  #isEnding = false;
  /** Closes when no reply is outstanding and no input has arrived for QUIET_TICKS. */
  #isDraining = false;
  #quietTicks = 0;
  #hasEnded = false;
  readonly written: WrittenPartitions;
  readonly endWaiting: () => void;
  readonly #own: DedicatedConnections;
  #outputWatch: OutputWatch | undefined;
  /** Runs when the newest command's reply is the only outstanding one. */
  #whenFirst: (() => void) | undefined;
  #whenIdle: (() => void) | undefined;

  /** A trusted client is a program's own stream: no authentication, and no limits of a router's clients. */
  constructor(socket: ClientStream, id: number, context: ClientContext, options: OwnOptions = {}) {
    this.id = id;
    this.#isTrusted = options.isTrusted === true;
    this.#socket = socket;
    this.#context = context;
    const { stats } = context;
    this.#line = new ReplyLine(stats.tally);
    this.written = options.written ?? new WrittenPartitions(context.own.generations);
    this.#own = new DedicatedConnections(this, context, options.hasLostWatch);
    this.endWaiting = this.#own.endWaiting.bind(this.#own);
    this.#session = new ClientSession(id, socket, context, this.#isTrusted);
    this.#splitter.limits = this.#session.requestLimits;
    this.#heardAtMs = this.#openedAtMs = context.tick.nowMs;
    onChunk(socket, this.#receive.bind(this));
    socket.on("drain", () => {
      context.output.note(this, 0);
      this.#pump();
    });
    socket.on("end", () => {
      stats.clientEof++;
      // A client may close its side and still read: it gets the replies to all its commands, except a blocked one's.
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
      context.output.note(this, 0);
      this.#own.release();
    });
  }

  /** Executes all commands up to the first quiet moment, then closes the connection. */
  drain(): void {
    this.#isDraining = true;
    this.#splitter.release();
    this.#context.tick.addClient(this);
  }

  /** Sends the outstanding replies, executes no more commands, and closes the connection. */
  end(): void {
    this.#isEnding = true;
    this.flush();
  }

  /** Whether it has sent nothing since then and has no outstanding reply. */
  isIdleSince(ms: number): boolean {
    const isIdle = this.#line.owed === 0 && !this.#isPlacing && !this.#own.isSubscribed;
    return isIdle && this.#heardAtMs < ms;
  }

  /** Called after a change of limits or users. A client of a removed user gets its outstanding replies and is
      disconnected. */
  rulesChanged(): void {
    const couldWrite = !this.#session.state.isReadOnly;
    const isKnown = this.#session.recheck();
    // A blocked client could still get data that it may not see any more.
    if (!isKnown && this.#own.isWaiting) this.destroy();
    else if (!isKnown) this.end();
    if (couldWrite && this.#session.state.isReadOnly) this.#own.markDirty();
    this.#splitter.limits = this.#session.requestLimits;
  }

  #receive(chunk: Buffer): void {
    this.#context.stats.receivedBytes += chunk.length;
    if (this.#isEnding) return;
    this.#heardAtMs = this.#context.tick.nowMs;
    this.#quietTicks = 0;
    this.#splitter.push(chunk);
    this.#pump();
    this.#splitter.release();
  }

  take(tag: number, bytes: Buffer, start: number, end: number): void {
    if (this.isGone) return;
    this.#line.take(tag, bytes, start, end);
    // The last outstanding reply has arrived: the client was not idle until now.
    if (this.#line.owed === 0) this.#heardAtMs = this.#context.tick.nowMs;
    if (this.#isDue) return;
    // At most one outstanding reply: flush even without output (CLIENT REPLY), for #whenFirst and #whenIdle.
    if (!this.#line.hasOutput && this.#line.owed > 1) {
      if (this.#line.waitingBytes > OUTPUT_BYTES_LEAST) this.#watchOutput();
      return;
    }
    this.#isDue = true;
    this.#context.tick.addClient(this);
  }

  #watchOutput(): void {
    if (this.#isTrusted) return;
    this.#outputWatch ??= new OutputWatch(this, this.#socket, this.#line, this.#context);
    this.#outputWatch.look();
  }

  destroy(): void {
    this.isGone = true;
    this.#socket.destroy();
  }

  #pump(): void {
    const { fastPath } = this.#context;
    try {
      while (!this.#isPlacing && !this.#isEnding && !this.isGone && !this.#isFull()) {
        if (!this.#splitter.advance()) {
          this.#isEnding = this.#isInputOver;
          break;
        }
        const { isAuthenticated, isReadOnly, protocol } = this.#session.state;
        const isPlain = isAuthenticated && !this.#own.takesAll && !this.#own.isWatching;
        const command = isPlain ? fastPath.find(this.#splitter, isReadOnly) : undefined;
        if (command === undefined) {
          this.#take(this.#splitter.request());
          continue;
        }
        const requestBytes = this.#splitter.rawEnd - this.#splitter.rawStart;
        const tag = this.#line.expect(requestBytes, command.number);
        fastPath.send(command, this, tag, this.#splitter, protocol);
      }
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      // The start of the next command is unknown: close the connection, as Redis does.
      this.#answer(this.#line.expect(0), errorReply(`ERR ${error.message}`));
      this.end();
    }
    this.#readOrPause();
  }

  #readOrPause(): void {
    // A blocked or queued client is read on, to notice whether it has closed its side before it blocks at a node.
    const isWaiting = this.#whenFirst !== undefined || this.#own.isWaiting;
    const readsAhead = isWaiting && this.#splitter.waitingBytes < AHEAD_BYTES_MAX;
    const mustPause = (this.#isPlacing && !readsAhead) || this.#isFull();
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause && !this.#isEnding) this.#socket.pause();
    else this.#socket.resume();
  }

  /** A client may write a whole pipeline before it reads: its unread replies stop the reading only beyond output-bytes. A
      trusted stream belongs to a program that always reads. */
  #isFull(): boolean {
    if (this.#line.owed >= this.#owedMax || this.#line.owedBytes >= OWED_BYTES_MAX) return true;
    if (!this.#socket.writableNeedDrain) return false;
    return this.#isTrusted || this.unsentBytes >= this.#context.rules.limits.outputBytesMax;
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
      // The protocol may change: earlier commands use other pipelines, and later ones must not overtake them.
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
      this.#own.release();
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
    const pending: PendingCommand = {
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
        this.#placed(this.#own.dispatch(name, pending, this.#session.refusal(request.args)));
      }, this.#context.rules.settings.holdForMs);
      return;
    }
    const placing = this.#own.dispatch(name, pending, this.#session.refusal(request.args));
    if (placing !== undefined) this.#placed(placing);
  }

  /** Continues with the next command after this one was given to its pipelines. */
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
      // A reply may come at once. Otherwise disconnect: the end of a half-closed client can't be noticed.
      this.#context.clock.after(LINGER_MS, () => {
        if (this.#own.isWaiting) this.destroy();
      });
    }
    // If it is blocked at a node now, the client is read on.
    this.#pump();
  }

  push(bytes: Buffer, start: number, end: number): void {
    if (this.isGone) return;
    this.#line.push(bytes, start, end);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#context.tick.addClient(this);
  }

  /** For CLIENT LIST. */
  get facts(): ClientFacts {
    const { nowMs } = this.#context.tick;
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

  /** Called at the end of a tick: sends the replies that are due in one write. */
  flush(): void {
    this.#isDue = false;
    if (this.isGone) return;
    if (this.#line.owed > 0 && this.#ticksWaited < TICKS_WAITED_MAX && !this.#isEnding) {
      this.#ticksWaited++;
      this.#isDue = true;
      this.#context.tick.addClient(this);
      return;
    }
    this.#ticksWaited = 0;
    this.#line.flush((bytes) => {
      this.#context.stats.sentBytes += bytes.length;
      return writeTo(this.#socket, bytes);
    });
    this.#owedMax = owedMaxOf(this.#line.usualBytes, this.#context.rules.limits.outputBytesMax);
    const unread = this.#socket.writableLength;
    if (unread > OUTPUT_BYTES_LEAST) this.#watchOutput();
    if (!this.#isTrusted) this.#context.output.note(this, unread);
    if (this.#line.owed === 0) this.#idle();
    if (this.#line.owed <= 1 && this.#whenFirst !== undefined) this.#runFirst(this.#whenFirst);
    if (!this.#isEnding && this.#isPaused) this.#pump();
    if (this.#isDraining && !this.#isEnding) this.#watchQuiet();
    if (!this.#isEnding || this.#line.owed > 0 || this.#hasEnded) return;
    this.#hasEnded = true;
    endGently(this.#socket, this.#context.clock);
  }

  /** Closes the connection when no reply is outstanding and no input has arrived for QUIET_TICKS. */
  #watchQuiet(): void {
    // A blocking command may block for ever; it has had no effect.
    if (this.#own.isWaiting) this.destroy();
    const isQuiet = this.#line.owed === 0 && this.#splitter.waitingBytes === 0 && !this.#isPlacing;
    if (!isQuiet) return;
    this.#isEnding = this.#quietTicks++ >= QUIET_TICKS;
    if (!this.#isEnding) this.#context.tick.addClient(this);
  }

  #idle(): void {
    const idle = this.#whenIdle;
    if (idle === undefined) return;
    this.#whenIdle = undefined;
    this.#isPlacing = false;
    idle();
  }
}
