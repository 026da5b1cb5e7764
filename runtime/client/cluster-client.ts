// cluster-client.ts: what TwineClient and RedCluster have in common: typed commands, their order, events, an end.
//
//   command -> (not ready, or an earlier one still waits for its hash? wait) -> dispatcher -> lanes
//
// Invariant: commands reach the dispatcher in the order of their calls, whatever it waits for, so that two commands on
// one key are executed in that order.
import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter } from "node:events";
import type { Callback } from "ioredis";
import { TwineError, type Problem } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import {
  beginPipeline,
  beginTransaction,
  type ChainCommands,
  type ChainSender,
  type CommandChain,
  type MultiOptions,
} from "./command-chain.ts";
import { decodeReply } from "../resp/decode.ts";
import { itemsOf, type RespValue } from "../resp/value.ts";
import { isError } from "../route/split.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { IsolatedClient } from "./isolation/isolated-client.ts";
import type { ClientEvents } from "./client-events.ts";
import type { LaneContext } from "./lane-context.ts";
import type { TakeMessage } from "./own/subscription-link.ts";
import {
  errorFromText,
  inheritScripts,
  TypedCommands,
  type TypedCommand,
} from "./typed-commands.ts";

export interface ClientTiming {
  readonly clock: Clock;
  readonly holdForMs: number;
}

/** A function of isolated(), while it runs. */
interface Isolation {
  readonly client: ClusterClient;
  isOpen: boolean;
}

/** In which function of isolated() a call is made, however deep. */
const isolations = new AsyncLocalStorage<Isolation>();

interface Task {
  readonly sinceMs: number;
  /** Hands it over; a promise when the next one must wait. */
  run(dispatcher: Dispatcher): Promise<void> | undefined;
  fail(error: Error): void;
}

export abstract class ClusterClient extends TypedCommands {
  readonly #timing: ClientTiming;
  readonly #events = new EventEmitter();
  #dispatcher: Dispatcher | undefined;
  #waiting: Task[] = [];
  #isBusy = false;
  #isClosed = false;
  #isEnding = false;
  #outstanding = 0;
  #endHold: (() => void) | undefined;
  #whyNotReady: Problem | undefined;
  readonly #heldPartitions = new Set<number>();
  /** Runs when nothing is outstanding any more. */
  #whenIdle: (() => void) | undefined;
  #ended: Promise<void> | undefined;

  protected constructor(timing: ClientTiming) {
    super();
    this.#timing = timing;
  }

  on<K extends keyof ClientEvents>(event: K, task: (...args: ClientEvents[K]) => void): this {
    this.#events.on(event, task as (...args: unknown[]) => void);
    return this;
  }

  once<K extends keyof ClientEvents>(event: K, task: (...args: ClientEvents[K]) => void): this {
    this.#events.once(event, task as (...args: unknown[]) => void);
    return this;
  }

  off<K extends keyof ClientEvents>(event: K, task: (...args: ClientEvents[K]) => void): this {
    this.#events.off(event, task as (...args: unknown[]) => void);
    return this;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Commands gathered until exec(), sent together, each to its partition; their results come in their order. */
  pipeline(commands?: ChainCommands): CommandChain {
    return beginPipeline(this, this.#sender, commands);
  }

  /** Commands gathered until exec(), executed as one transaction; all their keys must lie in one partition. */
  multi(commands?: ChainCommands | MultiOptions, options?: MultiOptions): CommandChain {
    return beginTransaction(this, this.#sender, commands, options);
  }

  /** Gives `task` a connection of its own to the partition of `key`, for WATCH and the transactions that it guards; all keys
      must lie in that partition. Resolves with what the task gives; its exec() gives null when a watched key changed: try
      again. The connection is given back when the task has ended. */
  async isolated<T>(key: string | Buffer, task: (one: IsolatedClient) => Promise<T>): Promise<T> {
    const one = await this.#isolate(Buffer.from(key));
    inheritScripts(this, one);
    const isolation: Isolation = { client: this, isOpen: true };
    try {
      return await isolations.run(isolation, () => task(one));
    } finally {
      isolation.isOpen = false;
      one.end();
      this.#settled();
    }
  }

  #isolate(key: Buffer): Promise<IsolatedClient> {
    return new Promise((resolve, reject) => {
      const settle = this.#begin();
      const fail = (error: Error): void => {
        reject(error);
        settle();
      };
      const failed = (reply: Buffer): void => {
        fail(errorFromText(reply.toString("utf8", 1, reply.length - 2)));
      };
      const run = (dispatcher: Dispatcher): Promise<void> | undefined =>
        dispatcher.isolate(key, resolve, failed);
      this.#add({ sinceMs: this.#timing.clock.nowMs(), run, fail });
    });
  }

  /** Takes no new commands, waits for the replies that are owed, then closes everything. Blocking commands are ended, as
      soon as that loses nothing: they reject with CLIENT_CLOSED. Inside of a function of isolated(), which it would wait
      for, it rejects with ISOLATION_OPEN and changes nothing. */
  override async quit(callback?: Callback<"OK">): Promise<"OK"> {
    const isolation = isolations.getStore();
    if (isolation?.client === this && isolation.isOpen) {
      const error = isolationOpenError();
      callback?.(error);
      throw error;
    }
    this.#isEnding = true;
    this.#dispatcher?.leave();
    if (this.#outstanding > 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    }
    await this.disconnect();
    callback?.(null, "OK");
    return "OK";
  }

  /** Closes everything at once: what is held or on the wire fails. Nothing keeps the process alive afterwards. */
  disconnect(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  /** Closes what the subclass has opened. */
  protected abstract closeSources(): Promise<void>;

  /** Commands are sent from here on. */
  protected open(dispatcher: Dispatcher): void {
    if (this.#isClosed) {
      dispatcher.close();
      return;
    }
    this.#dispatcher = dispatcher;
    this.emit("ready");
    this.#drain();
  }

  protected emit<K extends keyof ClientEvents>(event: K, ...args: ClientEvents[K]): void {
    // Node's emitter throws an "error" that nobody listens to: that would end the program.
    if (event === "error" && this.#events.listenerCount("error") === 0) return;
    this.#events.emit(event, ...args);
  }

  /** Why commands wait as yet: those that have waited for too long are told it. */
  protected tellWhyNotReady(why: Problem): void {
    this.#whyNotReady = why;
  }

  /** For the lanes, of which a partition has several: "held" is told once for each outage. */
  protected readonly outages: Pick<LaneContext, "onHeld" | "onServed"> = {
    onHeld: (partition, why) => {
      if (this.#heldPartitions.has(partition)) return;
      this.#heldPartitions.add(partition);
      this.emit("held", { partition, why });
    },
    onServed: (partition) => {
      this.#heldPartitions.delete(partition);
    },
  };

  /** Fails everything that waits, when the client can never become ready. */
  protected failWaiting(error: Error): void {
    for (const task of this.#waiting.splice(0)) task.fail(error);
  }

  protected override perform(command: TypedCommand): void {
    const settle = this.#begin();
    const done = (reply: Buffer): void => {
      command.take(reply);
      settle();
    };
    this.#add({
      sinceMs: this.#timing.clock.nowMs(),
      run(dispatcher) {
        return dispatcher.dispatch({ args: command.args, sinceMs: this.sinceMs, done });
      },
      fail: (error) => {
        command.fail(error);
        settle();
      },
    });
  }

  readonly #sender: ChainSender = {
    pipeline: (commands) => {
      for (const command of commands) this.perform(command);
    },
    transaction: (commands) =>
      new Promise((resolve, reject) => {
        const settle = this.#begin();
        const sinceMs = this.#timing.clock.nowMs();
        const done = (reply: Buffer): void => {
          if (isError(reply)) reject(errorFromText(reply.toString("utf8", 1, reply.length - 2)));
          else resolve(reply);
          settle();
        };
        const fail = (error: Error): void => {
          reject(error);
          settle();
        };
        const run = (dispatcher: Dispatcher): Promise<void> | undefined =>
          dispatcher.transact(commands, sinceMs, done);
        this.#add({ sinceMs, run, fail });
      }),
  };

  #add(task: Task): void {
    if (this.#isClosed || this.#isEnding) {
      task.fail(closedError());
      return;
    }
    this.#waiting.push(task);
    this.#drain();
    if (this.#waiting.length > 0) this.#watchHold();
  }

  #drain(): void {
    const dispatcher = this.#dispatcher;
    if (dispatcher === undefined || this.#isBusy) return;
    const tasks = this.#waiting;
    let count = 0;
    for (const task of tasks) {
      count++;
      const later = runTask(task, dispatcher);
      if (later === undefined) continue;
      this.#isBusy = true;
      void later.finally(() => {
        this.#isBusy = false;
        this.#drain();
      });
      break;
    }
    // Replies that came at once may have brought new commands: those stand behind.
    tasks.splice(0, count);
  }

  /** For the dispatcher: gives what a subscription brought to those who listen. */
  protected readonly takeMessage: TakeMessage = ({ topic }, raw) => {
    const [, ...parts] = itemsOf(decodeReply(raw)).map((item) => bytesOf(item));
    const [first = NO_BYTES, second = NO_BYTES, third = NO_BYTES] = parts;
    switch (topic) {
      case "channel":
        this.emit("message", first.toString(), second.toString());
        this.emit("messageBuffer", first, second);
        break;
      case "shard":
        this.emit("smessage", first.toString(), second.toString());
        this.emit("smessageBuffer", first, second);
        break;
      case "pattern":
        this.emit("pmessage", first.toString(), second.toString(), third.toString());
        this.emit("pmessageBuffer", first.toString(), second, third);
    }
  };

  /** Before the client is ready no lane holds its commands. */
  #watchHold(): void {
    if (this.#endHold !== undefined || this.#dispatcher !== undefined) return;
    const { clock, holdForMs } = this.#timing;
    const [first] = this.#waiting;
    const leftMs = Math.max((first?.sinceMs ?? clock.nowMs()) + holdForMs - clock.nowMs(), 0);
    this.#endHold = clock.after(leftMs, () => {
      this.#endHold = undefined;
      if (this.#dispatcher !== undefined) return;
      const isOver = (task: Task): boolean => task.sinceMs + holdForMs <= clock.nowMs();
      const over = this.#waiting.filter(isOver);
      this.#waiting = this.#waiting.filter((task) => !over.includes(task));
      for (const task of over) task.fail(notReadyError(this.#whyNotReady));
      if (this.#waiting.length > 0) this.#watchHold();
    });
  }

  /** Counts something that a caller waits for; what it gives counts it off, once whatever happens. */
  #begin(): () => void {
    this.#outstanding++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#settled();
    };
  }

  #settled(): void {
    this.#outstanding--;
    if (this.#outstanding === 0) this.#whenIdle?.();
  }

  async #end(): Promise<void> {
    this.#isClosed = true;
    this.#endHold?.();
    this.#dispatcher?.close();
    this.failWaiting(closedError());
    await this.closeSources();
    this.emit("close");
  }
}

/** A task that throws is its own caller's affair: those behind it go on. */
function runTask(task: Task, dispatcher: Dispatcher): Promise<void> | undefined {
  const fail = (error: unknown): void => {
    task.fail(error instanceof Error ? error : new Error(String(error)));
  };
  try {
    return task.run(dispatcher)?.catch(fail);
  } catch (error) {
    fail(error);
    return undefined;
  }
}

const NO_BYTES = Buffer.alloc(0);

function bytesOf(item: RespValue): Buffer {
  return item.type === "bulk" ? item.bytes : NO_BYTES;
}

function isolationOpenError(): TwineError {
  return new TwineError({
    code: "ISOLATION_OPEN",
    message: "quit() inside of the function that isolated() was given would wait for its own end",
    remedy: "call it when isolated() has resolved; disconnect() ends at once",
  });
}

function notReadyError(why: Problem | undefined): Error {
  const message = "TWINEDOWN the client has no view of the cluster yet";
  if (why === undefined) return errorFromText(message);
  return new TwineError({ ...why, code: "TWINEDOWN", message: `${message}: ${why.message}` });
}

export function closedError(): TwineError {
  return new TwineError({
    code: "CLIENT_CLOSED",
    message: "the client was closed by quit() or disconnect()",
    remedy: "make another client",
  });
}
