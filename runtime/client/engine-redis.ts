// engine-redis.ts: an ioredis Redis whose server is the routing engine in the same process: the common base of
// TwineClient and RedCluster.
//
//   sendCommand --with keys, and most others--> engine.submit()            all partitions in parallel, replies by tag
//               --MULTI..EXEC, blocking-------> a side session             does not block the other partitions
//               --SUBSCRIBE, CLIENT, WATCH ---> ioredis's own stream ----> engine.attach()
//
// ioredis keeps its status, events, pipelines, scripts, options and reconnecting. Only sendCommand, which its pipelines
// call too, and the stream's other end are replaced. engine/calls keeps the order of calls across the three ways.
import type { Duplex } from "node:stream";
import { Command, type Redis, type RedisOptions } from "ioredis";
import type { View } from "../core/view.ts";
import type { Engine } from "../engine/engine.ts";
import { streamPair } from "../engine/stream-pair.ts";
import { nameOf, shownName, wayOf, type Way } from "./command-ways.ts";
import { EngineCalls } from "./engine-calls.ts";
import { inheritScripts, isolationOpenError, isWithinIsolated, runIsolated } from "./isolated.ts";
import { EngineConnector } from "./engine-connector.ts";
import type { EngineHost, HostClient, HostEvents } from "./engine-host.ts";
import { overrideProblems, redisOptionsOf, refuseProblems } from "./client-options.ts";
import {
  closedError,
  refusedCommand,
  replyError,
  uncertainError,
  type ClusterReplyError,
} from "./reply-errors.ts";
import { EventedRedis } from "./typed-events.ts";

type Stream = Parameters<Redis["sendCommand"]>[1];

/** ioredis's duplicate() may change the types of replies: only `any` fits all of them. */
type AnyRedis = Redis<ReturnType<typeof JSON.parse>>;

/** Fixed options: the engine buffers commands, no command is resent without notice, and the stream is not a socket. */
const FORCED: RedisOptions = {
  noDelay: false,
  // For undefined ioredis would use its own default.
  keepAlive: null as never,
  enableReadyCheck: false,
  maxRetriesPerRequest: null,
  autoResendUnfulfilledCommands: false,
};

const REFUSED_REASON = "its replies would not be those of the calls that ask for them";
const SHARED_REASON =
  "callers that share a client would lose each other's updates; call client.isolated(key, async " +
  "(one) => ...), which lends a client to one caller, or client.duplicate(), which makes one";

/** A private method of ioredis. */
interface Privately {
  getBlockingTimeoutInMs(command: Command): number | undefined;
}

export abstract class EngineRedis extends EventedRedis implements HostClient {
  readonly #host: EngineHost;
  readonly #given: RedisOptions;
  /** The client has only one caller, so WATCH and MULTI may be sent command by command. */
  readonly #isPrivate: boolean;
  readonly #calls: EngineCalls;
  readonly #order: EngineCalls["order"];
  /** Set while a pipeline sends MULTI and the commands up to EXEC. */
  #collected: Command[] | undefined;
  /** After WATCH or MULTI of a private client, all commands use its stream until EXEC's reply. isHeld: its session
      watches keys; the watch is lost when the stream closes. */
  readonly #watch = { isOn: false, pending: 0, isHeld: false };
  readonly #isolated = new Set<EngineRedis>();
  #isEnding = false;
  /** Counts calls of #close(): work that began before the last one is void. */
  #closings = 0;
  #left: Promise<unknown> = Promise.resolve();
  #whenLeft: (() => void) | undefined;

  protected constructor(host: EngineHost, options: RedisOptions, isPrivate: boolean) {
    const redisOptions: RedisOptions = { ...options, ...FORCED, lazyConnect: true };
    super({ ...redisOptions, Connector: EngineConnector } as never);
    this.#host = host;
    this.#given = options;
    this.#isPrivate = isPrivate;
    this.#calls = new EngineCalls(this, host);
    this.#order = this.#calls.order;
    EngineConnector.of(this).client = {
      openStream: () => this.#openStream(),
      closed: () => {
        this.#lookForEnd();
      },
    };
    this.options.lazyConnect = options.lazyConnect === true;
    if (!this.options.lazyConnect) this.#connectQuietly();
  }

  /** Makes a client with the same host. */
  protected abstract sibling(host: EngineHost, options: RedisOptions): EngineRedis;

  /** Resolves when commands are sent instead of buffered. Rejects with an error that waiting can't resolve. */
  async ready(): Promise<void> {
    if (this.status === "end" || this.#isEnding) throw closedError();
    if (this.status === "wait") this.#connectQuietly();
    await this.#host.opened?.ready;
  }

  /** The newest view, or undefined before the first. */
  get view(): View | undefined {
    return this.#host.opened?.view;
  }

  protected get engineReady(): Promise<Engine> {
    return this.ready().then(async () => {
      const engine = await this.#host.opened?.ready;
      if (engine === undefined) throw closedError();
      return engine;
    });
  }

  /** Opens a Unix socket on this client's engine, for this user's programs with any Redis library. Ends with the client. */
  async listenLocally(
    path?: string,
  ): Promise<{ readonly path: string; readonly close: () => Promise<void> }> {
    return (await this.engineReady).listenLocally(path);
  }

  /**
   * Gives `task` its own client, for WATCH and the transaction after it. Resolves with the task's result. exec() returns
   * null if a watched key has changed: try again. The task begins after the replies to this client's earlier commands for
   * the partition of `key`. Its client can't be used after the task has ended.
   */
  async isolated<T>(key: string | Buffer, task: (one: this) => Promise<T>): Promise<T> {
    if (this.status === "end" || this.#isEnding) throw closedError();
    const over = await this.#order.turnOf(Buffer.from(key));
    const one = this.sibling(this.#host, { ...this.#given, lazyConnect: true });
    inheritScripts(this, one);
    this.#isolated.add(one);
    try {
      return await runIsolated(this, () => task(one as this));
    } finally {
      this.#isolated.delete(one);
      one.disconnect();
      over();
    }
  }

  /** A client of the same engine, with `override` of ioredis's options. It has only one caller, so it may WATCH. */
  override duplicate(override: Partial<RedisOptions> = {}): this & AnyRedis {
    const present = this.options as unknown as Record<string, unknown>;
    refuseProblems(overrideProblems({ ...override }, present));
    const options = { ...this.#given, ...redisOptionsOf(override) };
    return this.sibling(this.#host, options) as this & AnyRedis;
  }

  override monitor(): Promise<never> {
    return Promise.reject(refusedCommand("monitor", REFUSED_REASON));
  }

  override disconnect(reconnect = false): void {
    // ioredis would wait for its timer, which it has just cancelled.
    if (!reconnect && this.status === "reconnecting") this.status = "wait";
    if (!reconnect) this.#close();
    super.disconnect(reconnect);
    if (!reconnect) this.#lookForEnd();
  }

  override sendCommand(command: Command, stream?: Stream): unknown {
    if (this.#collected !== undefined) return this.#collect(command, this.#collected);
    const way = wayOf(command);
    if (!this.#takes(command, way)) return command.promise;
    if (way === "engine" && this.#order.isFree && !this.#isWatching) this.#calls.submit(command);
    else this.#route(command, way, stream);
    return command.promise;
  }

  report<K extends keyof HostEvents>(event: K, ...args: HostEvents[K]): void {
    if (event === "failover") this.#calls.forgetScripts();
    // As in ioredis: an error of a listener must not break the engine.
    process.nextTick(() => {
      if (event === "error") this.silentEmit("error", ...args);
      else this.emit(event, ...args);
    });
  }

  /** Called for every error reply on ioredis's own stream. */
  override handleReconnection(
    error: Error,
    item: Parameters<Redis["handleReconnection"]>[1],
  ): void {
    const { command } = error as ClusterReplyError;
    super.handleReconnection(Object.assign(replyError(error.message), { command }), item);
  }

  /** False if ioredis refuses the command, or the client has ended. */
  #takes(command: Command, way: Way): boolean {
    const isHandshake = this.status === "connect" && way === "stream";
    if (this.status === "end" || (this.#isEnding && !isHandshake)) {
      command.reject(closedError());
      return false;
    }
    if (this.status === "wait") this.#connectQuietly();
    const isOffline = this.options.enableOfflineQueue === false && this.status !== "ready";
    const isSubscriber = this.mode === "subscriber";
    if (isSubscriber && !Command.checkFlag("VALID_IN_SUBSCRIBER_MODE", command.name)) {
      super.sendCommand(command);
      return false;
    }
    if (isOffline && way !== "stream") {
      super.sendCommand(command);
      return false;
    }
    this.#calls.setContext(command);
    const { commandTimeout } = this.options;
    if (typeof commandTimeout === "number") command.setTimeout(commandTimeout);
    if (way === "block") {
      const timeoutMs = (this as unknown as Privately).getBlockingTimeoutInMs(command);
      if (timeoutMs !== undefined) command.setBlockingTimeout(timeoutMs);
    }
    return true;
  }

  #route(command: Command, way: Way, stream: Stream): void {
    switch (way) {
      case "refused":
        command.reject(refusedCommand(shownName(command), REFUSED_REASON));
        break;
      case "quit":
        this.#quit(command);
        break;
      case "multi":
      case "watch":
        this.#begin(command, way, stream);
        break;
      case "stream":
        super.sendCommand(command);
        break;
      case "wait":
        this.#byStream(command);
        break;
      case "end":
        if (this.#isWatching) this.#byStream(command, true);
        else super.sendCommand(command);
        break;
      case "block":
      case "engine":
        if (this.#isWatching) this.#byStream(command, true);
        else if (way === "block") this.#beside([command], "passing");
        else {
          this.#order.enter("call", [command], () => {
            this.#calls.submit(command);
          });
        }
    }
  }

  /** Begins a MULTI or WATCH. */
  #begin(command: Command, way: Way, stream: Stream): void {
    const isPiped = stream !== undefined && "isPipeline" in stream;
    if (way === "multi" && isPiped && !this.#isWatching) {
      this.#collected = [command];
      // A pipeline sends all its commands at once: without an EXEC by then there will be none.
      queueMicrotask(() => {
        for (const one of this.#collected ?? []) {
          one.reject(refusedCommand("multi", "its pipeline has no exec()"));
        }
        this.#collected = undefined;
      });
    } else if (!this.#isPrivate) command.reject(refusedCommand(nameOf(command), SHARED_REASON));
    else this.#byStream(command, true);
  }

  #collect(command: Command, collected: Command[]): unknown {
    this.#calls.setContext(command);
    collected.push(command);
    const name = nameOf(command);
    if (name !== "exec" && name !== "discard") return command.promise;
    this.#collected = undefined;
    this.#beside(collected, "gating");
    return command.promise;
  }

  get #isWatching(): boolean {
    return this.#watch.isOn || this.#watch.pending > 0;
  }

  /** Sends the command on ioredis's own stream, after the replies to all earlier commands. */
  #byStream(command: Command, isOfWatch = false): void {
    const watch = this.#watch;
    const way = wayOf(command);
    if (isOfWatch) {
      if (way === "watch" || way === "multi") watch.isOn = true;
      if (way === "end") watch.isOn = false;
      watch.pending++;
    }
    const settled = (isHeld: boolean) => (): void => {
      if (isOfWatch) watch.pending--;
      if (way === "watch" || way === "end") watch.isHeld = isHeld;
    };
    command.promise.then(settled(way === "watch"), settled(way === "watch" && watch.isHeld));
    this.#order.enter(
      "passing",
      undefined,
      (over) => {
        super.sendCommand(command);
        command.promise.then(over, over);
      },
      command,
    );
  }

  /** Runs the commands in a side session. */
  #beside(commands: readonly Command[], kind: "gating" | "passing"): void {
    this.#order.enter(kind, commands, (over) => {
      this.#calls.beside(commands, kind === "passing", over);
    });
  }

  async #openStream(): Promise<Duplex> {
    const closings = this.#closings;
    const opened = this.#host.join(this);
    this.#order.watchHold();
    let engine: Engine;
    try {
      engine = await opened.ready;
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      for (const entry of this.#order.takeWaiting()) entry.fail(failure);
      throw failure;
    }
    if (closings !== this.#closings) throw closedError();
    const { programEnd, engineEnd } = streamPair();
    this.#calls.attach(engine, engineEnd, this.#watch.isHeld);
    this.#order.open();
    return programEnd;
  }

  /** Awaits outstanding replies, ends blocking commands as soon as no element can be lost, then closes the client. */
  #quit(command: Command): void {
    if (isWithinIsolated(this)) {
      command.reject(isolationOpenError());
      return;
    }
    this.#isEnding = true;
    const { promise } = command;
    const left = new Promise<void>((resolve) => (this.#whenLeft = resolve));
    command.promise = promise.then(async (reply: unknown) => {
      await left;
      return reply;
    });
    for (const entry of this.#order.takeWaiting(({ isEndless }) => isEndless === true)) {
      entry.fail(closedError());
    }
    this.#calls.endBlocking();
    this.#order.whenIdle(() => {
      if (this.status === "ready") {
        super.sendCommand(command);
        return;
      }
      this.disconnect();
      command.resolve(Buffer.from("OK"));
    });
  }

  /** Fails all pending commands and leaves the host, which may close its engine. */
  #close(): void {
    this.#order.shut();
    // First, because a closing engine knows the outcome of each command best.
    this.#left = Promise.all([this.#left, this.#host.leave(this)]);
    this.#closings++;
    this.#failSent();
    this.#calls.detach();
    for (const entry of this.#order.takeWaiting()) entry.fail(closedError());
    for (const one of this.#isolated) one.disconnect();
    this.#watch.isOn = this.#watch.isHeld = false;
  }

  /** Fails the commands sent on ioredis's own stream: ioredis would resend some of them. */
  #failSent(): void {
    const { commandQueue } = this;
    for (let item = commandQueue.shift(); item !== undefined; item = commandQueue.shift()) {
      const { command } = item;
      const [name, way] = [nameOf(command), wayOf(command)];
      const isWork = way === "engine" || way === "block" || name === "exec";
      const isUncertain = isWork && this.#calls.mayBeDone(name);
      command.reject(isUncertain ? uncertainError(name) : closedError());
    }
  }

  /** Called after ioredis has seen the end of its stream. */
  #lookForEnd(): void {
    this.#failSent();
    process.nextTick(() => {
      if (this.status !== "end") return;
      this.#close();
      this.#isEnding = false;
      void this.#left.then(this.#whenLeft);
    });
  }

  #connectQuietly(): void {
    this.connect().catch(() => undefined);
  }
}
