// checked-writer.ts: clients that write through the routers, and check the guarantees of their replies.
//
//   each batch   SET of new keys             every acknowledged key must exist at the end, otherwise it is lost
//                SET and GET of registers    a GET must not be older than the last acknowledged SET, otherwise it is stale
//
// Keys are numbered, and only the numbers without an acknowledgement are stored: memory grows with the errors, not the
// writes.
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import type { Credentials } from "../../../runtime/core/credentials.ts";
import type { Endpoint } from "../place-env.ts";

const CLIENTS = 4;
const NEW_KEYS = 8;
const REGISTERS = 32;
const REGISTERS_AT_ONCE = 4;
const READ_AT_ONCE = 200;
const RECONNECT_AFTER_MS = 50;
/** New keys of all clients: they stay in the cluster's memory. */
const KEYS_MAX = 600_000;
const PAUSE_MIN_MS = 20;
/** Unacknowledged keys that one client stores; above this limit it writes no new keys. */
const UNKNOWN_MAX = 200_000;

export interface WriterOptions {
  readonly routers: readonly Endpoint[];
  readonly credentials: Credentials | undefined;
  readonly isTls: boolean;
  /** Prefix of every key, unique to this run. */
  readonly prefix: string;
  /** Duration of the run; it sets the rate of writes. */
  readonly durationMs: number;
  /** After this time a command counts as failed. */
  readonly answerWithinMs: number;
}

/** What happened since the last call of look(). */
export interface WriterWindow {
  /** The longest time in which one client had no completely acknowledged batch. */
  readonly longestGapMs: number;
  /** Error code of Redis, or "connection" -> number of commands. */
  readonly errors: Readonly<Record<string, number>>;
  readonly acknowledged: number;
  readonly staleReads: number;
}

export interface WriterCheck {
  readonly acknowledged: number;
  /** Acknowledged writes that are missing. */
  readonly lost: number;
  /** The first of them. */
  readonly lostKeys: readonly string[];
  /** Keys that could not be read back. */
  readonly unread: number;
}

export class CheckedWriter {
  readonly #clients: readonly CheckedClient[];
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: WriterOptions) {
    const paceMs = (options.durationMs * CLIENTS * NEW_KEYS) / KEYS_MAX;
    this.#clients = Array.from(
      { length: CLIENTS },
      (_, index) => new CheckedClient(options, index, Math.max(PAUSE_MIN_MS, paceMs)),
    );
  }

  start(): void {
    this.#running = Promise.all(this.#clients.map((client) => client.run(this.#stop.signal)));
  }

  /** Since the last call; a gap that has not ended counts with its length so far. */
  look(): WriterWindow {
    const windows = this.#clients.map((client) => client.look());
    const errors: Record<string, number> = {};
    for (const window of windows) {
      for (const [kind, count] of Object.entries(window.errors)) {
        errors[kind] = (errors[kind] ?? 0) + count;
      }
    }
    return {
      longestGapMs: Math.max(...windows.map(({ longestGapMs }) => longestGapMs)),
      errors,
      acknowledged: sum(windows.map(({ acknowledged }) => acknowledged)),
      staleReads: sum(windows.map(({ staleReads }) => staleReads)),
    };
  }

  /** Ends after the running batches. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Reads back all acknowledged keys. Call it after stop(). */
  async check(): Promise<WriterCheck> {
    const checks = await Promise.all(this.#clients.map((client) => client.check()));
    return {
      acknowledged: sum(checks.map(({ acknowledged }) => acknowledged)),
      lost: sum(checks.map(({ lost }) => lost)),
      lostKeys: checks.flatMap(({ lostKeys }) => lostKeys).slice(0, LOST_SHOWN),
      unread: sum(checks.map(({ unread }) => unread)),
    };
  }

  close(): void {
    this.#stop.abort();
    for (const client of this.#clients) client.close();
  }
}

const LOST_SHOWN = 20;

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

interface Sent {
  readonly kind: "new" | "write" | "read";
  /** The number of a new key, or of a register. */
  readonly index: number;
  readonly value: number;
}

class CheckedClient {
  readonly #options: WriterOptions;
  readonly #prefix: string;
  readonly #paceMs: number;
  #router: number;
  #redis: Redis | undefined;
  /** The next new key's number. */
  #next = 0;
  readonly #unknown = new Set<number>();
  /** By register: the last acknowledged value, or a newer one that was read since. */
  readonly #floors = new Array<number>(REGISTERS).fill(0);
  #sequence = 0;
  #lastWholeMs = performance.now();
  #longestGapMs = 0;
  #errors: Record<string, number> = {};
  #acknowledged = 0;
  #staleReads = 0;

  constructor(options: WriterOptions, index: number, paceMs: number) {
    this.#options = options;
    this.#prefix = `${options.prefix}:${index}`;
    this.#router = index;
    this.#paceMs = paceMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#lastWholeMs = performance.now();
    while (!signal.aborted) {
      const isWhole = await this.#batch();
      if (isWhole) this.#closeGap();
      await delay(isWhole ? this.#paceMs : RECONNECT_AFTER_MS, undefined, { signal }).catch(
        () => undefined,
      );
    }
  }

  look(): WriterWindow {
    this.#longestGapMs = Math.max(this.#longestGapMs, performance.now() - this.#lastWholeMs);
    const window = {
      longestGapMs: this.#longestGapMs,
      errors: this.#errors,
      acknowledged: this.#acknowledged,
      staleReads: this.#staleReads,
    };
    this.#longestGapMs = 0;
    this.#errors = {};
    this.#acknowledged = 0;
    this.#staleReads = 0;
    return window;
  }

  async check(): Promise<WriterCheck> {
    const numbers = Array.from({ length: this.#next }, (_, number) => number).filter(
      (number) => !this.#unknown.has(number),
    );
    const lostKeys: string[] = [];
    let [lost, unread] = [0, 0];
    for (let from = 0; from < numbers.length; from += READ_AT_ONCE) {
      const some = numbers.slice(from, from + READ_AT_ONCE);
      const values = await this.#read(some.map((number) => this.#newKey(number)));
      for (const [at, number] of some.entries()) {
        const value = values?.[at];
        if (value === undefined) unread++;
        else if (value !== String(number)) {
          lost++;
          if (lostKeys.length < LOST_SHOWN) lostKeys.push(this.#newKey(number));
        }
      }
    }
    this.close();
    return { acknowledged: numbers.length, lost, lostKeys, unread };
  }

  close(): void {
    this.#redis?.disconnect();
    this.#redis = undefined;
  }

  #newKey(number: number): string {
    return `${this.#prefix}:key:${number}`;
  }

  /** Whether the whole batch was acknowledged. */
  async #batch(): Promise<boolean> {
    const redis = this.#connection();
    const sent = this.#plan();
    const pipeline = redis.pipeline();
    for (const { kind, index, value } of sent) {
      if (kind === "new") pipeline.set(this.#newKey(index), value);
      else if (kind === "write") pipeline.set(`${this.#prefix}:register:${index}`, value);
      else pipeline.get(`${this.#prefix}:register:${index}`);
    }
    const replies = await pipeline.exec().catch((error: unknown) => error as Error);
    const taken = sent.map((one, at) => {
      const [error, value] = Array.isArray(replies)
        ? (replies[at] ?? [new Error("no reply"), null])
        : [replies, null];
      return this.#take(one, error, value);
    });
    const isWhole = taken.every(Boolean);
    if (redis.status !== "ready") {
      this.close();
      this.#router++;
    }
    return isWhole;
  }

  #plan(): Sent[] {
    const sent: Sent[] = [];
    const isFull = this.#next >= KEYS_MAX / CLIENTS || this.#unknown.size + NEW_KEYS > UNKNOWN_MAX;
    for (let count = 0; count < (isFull ? 0 : NEW_KEYS); count++) {
      sent.push({ kind: "new", index: this.#next, value: this.#next });
      // Unknown until it is acknowledged.
      this.#unknown.add(this.#next++);
    }
    for (let count = 0; count < REGISTERS_AT_ONCE; count++) {
      const value = ++this.#sequence;
      const index = value % REGISTERS;
      sent.push({ kind: "write", index, value }, { kind: "read", index, value });
    }
    return sent;
  }

  /** Counts one reply; returns whether it is a success. */
  #take({ kind, index, value }: Sent, error: Error | null, reply: unknown): boolean {
    if (error !== null) {
      const name = errorKind(error);
      this.#errors[name] = (this.#errors[name] ?? 0) + 1;
      return false;
    }
    const floor = this.#floors[index] ?? 0;
    if (kind === "new") this.#unknown.delete(index);
    else if (kind === "write") this.#floors[index] = value;
    else {
      const read = Number(reply ?? 0);
      // From then on only older values count: one lost write is not counted at every read.
      if (read < floor) this.#staleReads++;
      this.#floors[index] = read;
    }
    if (kind !== "read") this.#acknowledged++;
    return true;
  }

  #closeGap(): void {
    const nowMs = performance.now();
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastWholeMs);
    this.#lastWholeMs = nowMs;
  }

  /** undefined when no router answered it. */
  async #read(keys: readonly string[]): Promise<(string | null)[] | undefined> {
    for (let attempt = 0; attempt < this.#options.routers.length + 1; attempt++) {
      try {
        return await this.#connection().mget(...keys);
      } catch {
        this.close();
        this.#router++;
        await delay(RECONNECT_AFTER_MS);
      }
    }
    return undefined;
  }

  #connection(): Redis {
    if (this.#redis !== undefined) return this.#redis;
    const { routers, credentials, isTls, answerWithinMs } = this.#options;
    const router = routers[this.#router % routers.length];
    const redis = new Redis({
      host: router?.host ?? "127.0.0.1",
      port: router?.port ?? 6379,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      connectTimeout: answerWithinMs,
      commandTimeout: answerWithinMs,
      ...(credentials ?? {}),
      // The certificate names other hosts than the loopback addresses of an environment.
      ...(isTls ? { tls: { rejectUnauthorized: false } } : {}),
    });
    redis.on("error", () => undefined);
    this.#redis = redis;
    return redis;
  }
}

/** The error code at the start of an error of Redis or the router; "connection" for any other error. */
function errorKind({ name, message }: Error): string {
  if (name !== "ReplyError") return "connection";
  return /^[A-Z][A-Z_]+(?= |$)/.exec(message)?.[0] ?? "ERR";
}
