// client.ts: one client of the Sentinel port: reads commands, sends answers in the same order, and messages between them.
// Commands are answered at once, except those that show offsets, which are read from the status nodes; later commands wait
// for them. A client that does not read uses a bounded amount of memory: its commands are not read any more, and when
// messages accumulate it is disconnected, as Redis does with a slow subscriber.
import type { Socket } from "node:net";
import type { Clock } from "../../ports/clock.ts";
import { encodeReply, errorReply } from "../../resp/encode.ts";
import { RespError, UNAUTHENTICATED_LIMITS, type RequestLimits } from "../../resp/limits.ts";
import { RequestSplitter } from "../../resp/request-splitter.ts";
import type { RespValue } from "../../resp/value.ts";
import { infoLine } from "../../route/session/session-client.ts";
import { openSession, type SessionState } from "../../route/session/session-state.ts";
import { answerSession, BEFORE_AUTH, NOAUTH_REPLY } from "../../route/session/session.ts";
import {
  answerSentinel,
  infoAnswer,
  roleAnswer,
  SENTINEL_VERSION,
  type AnswerSource,
} from "./answers.ts";
import { commandAnswer, refusalOf, wordOf } from "./commands.ts";
import type { SentinelMessage } from "./events.ts";
import { bulkText } from "./state-maps.ts";
import { isSubscriptionCommand, Subscriptions } from "./subscriptions.ts";
import type { Secret } from "../../core/credentials.ts";

export interface ClientContext {
  readonly password: Secret | undefined;
  readonly clock: Clock;
  /** The present state. */
  source(): AnswerSource;
  /** The same with fresh offsets. Never rejects. */
  sourceWithOffsets(): Promise<AnswerSource>;
  /** CLIENT LIST: one line for each client. */
  clientLines(): string;
}

/** Room for a command with as many words as subscriptions are allowed; names and patterns are short. */
const LIMITS: RequestLimits = {
  arrayLength: 1100,
  bulkBytes: 16_384,
  commandBytes: 128 * 1024,
};
/** The time for the rest of a command: a slow one would keep its connection from other clients. */
const COMMAND_MS_MAX = 10_000;

const WAITING_OUT_BYTES_MAX = 1024 * 1024;

/** The first words of an HTTP request, sent by a misused browser: Redis closes such connections too. */
const HTTP_WORDS: ReadonlySet<string> = new Set(["post", "host:"]);

export class SentinelClient {
  readonly #socket: Socket;
  readonly #context: ClientContext;
  readonly #splitter = new RequestSplitter();
  readonly #subscriptions = new Subscriptions();
  #session: SessionState;
  #isBusy = false;
  #isInputOver = false;
  #isEnding = false;
  #endSlow: (() => void) | undefined;

  constructor(socket: Socket, id: number, context: ClientContext) {
    this.#socket = socket;
    this.#context = context;
    const address = `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`;
    this.#session = openSession(id, address, context.password !== undefined);
    this.#splitter.limits = this.#session.isAuthenticated ? LIMITS : UNAUTHENTICATED_LIMITS;
    socket.on("data", (chunk) => {
      this.#splitter.push(chunk);
      this.#pump();
    });
    socket.on("drain", () => {
      this.#pump();
    });
    socket.on("end", () => {
      // A client may close its sending side and still read: everything that it sent before is answered.
      this.#isInputOver = true;
      this.#pump();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#endSlow?.());
  }

  get line(): string {
    return infoLine(this.#session);
  }

  hear(message: SentinelMessage): void {
    if (this.#isEnding || this.#subscriptions.count === 0) return;
    this.#write(this.#subscriptions.hear(message, this.#session.protocol));
    if (this.#socket.writableLength > WAITING_OUT_BYTES_MAX) this.destroy();
  }

  destroy(): void {
    this.#isEnding = true;
    this.#socket.destroy();
  }

  #pump(): void {
    try {
      while (!this.#isBusy && !this.#isEnding && !this.#socket.writableNeedDrain) {
        const request = this.#splitter.next();
        if (request === undefined) {
          if (this.#isInputOver) this.#end();
          break;
        }
        this.#endSlow?.();
        this.#endSlow = undefined;
        this.#take(request.args);
      }
      this.#limitSlow();
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      // The start of the next command is unknown after this error: close, as Redis does.
      this.#write(errorReply(`ERR ${error.message}`));
      this.#end();
    }
    if (this.#isBusy || this.#socket.writableNeedDrain) this.#socket.pause();
    else this.#socket.resume();
  }

  /** Closes the connection if the command of which a part has arrived is not whole in time. */
  #limitSlow(): void {
    const isWaited = !this.#isBusy && !this.#isEnding && !this.#socket.writableNeedDrain;
    if (!isWaited || this.#splitter.waitingBytes === 0) return;
    this.#endSlow ??= this.#context.clock.after(COMMAND_MS_MAX, () => {
      this.destroy();
    });
  }

  #take(args: readonly Buffer[]): void {
    const name = wordOf(args[0]);
    if (HTTP_WORDS.has(name)) {
      this.destroy();
      return;
    }
    if (!this.#session.isAuthenticated && !BEFORE_AUTH.has(name)) {
      this.#write(NOAUTH_REPLY);
      return;
    }
    const { protocol } = this.#session;
    const isSubscribed = protocol === 2 && this.#subscriptions.count > 0;
    const refusal = refusalOf(args, isSubscribed);
    if (refusal !== undefined) this.#write(refusal);
    else if (isSubscriptionCommand(name)) {
      this.#write(this.#subscriptions.change(name, args.slice(1), protocol));
    } else if (name === "ping" && isSubscribed) {
      const items = [bulkText("pong"), bulkText(args[1]?.toString("latin1") ?? "")];
      this.#answer({ type: "array", items });
    } else if (name === "sentinel") this.#takeSentinel(args);
    else if (name === "info") this.#answer(infoAnswer(this.#context.source(), args));
    else if (name === "role") this.#answer(roleAnswer(this.#context.source().picture));
    else if (name === "command") this.#answer(commandAnswer(args));
    else if (name === "client" && wordOf(args[1]) === "list") {
      const bytes = Buffer.from(this.#context.clientLines());
      this.#answer({ type: "verbatim", format: "txt", bytes });
    } else this.#takeSession(name, args);
  }

  #takeSentinel(args: readonly Buffer[]): void {
    const sub = wordOf(args[1]);
    if (sub !== "replicas" && sub !== "slaves") {
      this.#answer(answerSentinel(this.#context.source(), args));
      return;
    }
    this.#isBusy = true;
    void this.#context.sourceWithOffsets().then((source) => {
      this.#isBusy = false;
      this.#answer(answerSentinel(source, args));
      this.#pump();
    });
  }

  #takeSession(name: string, args: readonly Buffer[]): void {
    const answer = answerSession(this.#session, args, {
      password: this.#context.password,
      redisVersion: SENTINEL_VERSION,
      mode: "sentinel",
    });
    this.#session = answer.state;
    if (name === "reset") this.#subscriptions.clear();
    this.#splitter.limits = answer.state.isAuthenticated ? LIMITS : UNAUTHENTICATED_LIMITS;
    this.#write(answer.reply);
    if (answer.isLast) this.#end();
  }

  #answer(value: RespValue): void {
    const { protocol } = this.#session;
    this.#write(encodeReply(protocol === 3 ? withOneNull(value) : value, protocol));
  }

  #write(bytes: Buffer): void {
    if (bytes.length > 0 && this.#socket.writable) this.#socket.write(bytes);
  }

  #end(): void {
    this.#isEnding = true;
    this.#socket.end();
  }
}

/** RESP3 has one null; RESP2 has one for bulks and one for arrays. */
function withOneNull(value: RespValue): RespValue {
  if (value.type === "null") return { type: "null", of: "any" };
  return value.type === "array" ? { ...value, items: value.items.map(withOneNull) } : value;
}
