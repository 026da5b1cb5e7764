// writer.ts: clients that write keys of their own all the time, through whatever connection they are given, and what they saw:
// errors, the longest time without an acknowledged write, and acknowledged keys that are gone in the end.
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";

const CLIENTS = 4;
const BATCH = 8;
const PAUSE_MS = 5;
const READ_AT_ONCE = 500;

export interface Written {
  readonly acknowledged: number;
  readonly lost: number;
  /** Commands that were answered with an error, or not at all. */
  readonly errors: number;
  /** Error text -> how often, shortened. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly longestGapMs: number;
}

/** A time in which a client had no write acknowledged, by performance.now(). */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The longest that overlaps the time from `fromMs` to `toMs`; 0: none. */
export function longestOf(gaps: readonly Gap[], fromMs = -Infinity, toMs = Infinity): number {
  const lengths = gaps
    .filter((gap) => gap.toMs >= fromMs && gap.fromMs <= toMs)
    .map((gap) => gap.toMs - gap.fromMs);
  return Math.max(0, ...lengths);
}

/** Shorter ones are not kept. */
const GAP_MS_MIN = 20;

export class BenchWriters {
  readonly #connect: () => Redis;
  readonly #prefix: string;
  readonly #clients: Redis[] = [];
  readonly #acknowledged: string[] = [];
  readonly #kinds: Record<string, number> = {};
  #errors = 0;
  readonly #gaps: Gap[] = [];
  #isStopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(connect: () => Redis, prefix: string) {
    this.#connect = connect;
    this.#prefix = prefix;
  }

  start(): void {
    this.#running = Promise.all(Array.from({ length: CLIENTS }, (_, index) => this.#run(index)));
  }

  gaps(): readonly Gap[] {
    return this.#gaps;
  }

  async stop(): Promise<Written> {
    this.#isStopped = true;
    await this.#running;
    const lost = await this.#missing();
    for (const client of this.#clients) client.disconnect();
    return {
      acknowledged: this.#acknowledged.length,
      lost,
      errors: this.#errors,
      kinds: this.#kinds,
      longestGapMs: longestOf(this.#gaps),
    };
  }

  async #run(index: number): Promise<void> {
    const redis = this.#connect();
    redis.on("error", () => undefined);
    this.#clients.push(redis);
    let lastMs = performance.now();
    for (let next = 0; !this.#isStopped; next += BATCH) {
      const keys = Array.from(
        { length: BATCH },
        (_, at) => `${this.#prefix}:${index}:${next + at}`,
      );
      const pipeline = redis.pipeline();
      for (const key of keys) pipeline.set(key, key);
      const replies = await pipeline.exec().catch((error: unknown) => error as Error);
      let isWhole = true;
      for (const [at, key] of keys.entries()) {
        const error = errorOf(replies, at);
        if (error === null) this.#acknowledged.push(key);
        else {
          isWhole = false;
          this.#errors++;
          const kind = error.message.slice(0, 40);
          this.#kinds[kind] = (this.#kinds[kind] ?? 0) + 1;
        }
      }
      if (isWhole) {
        const nowMs = performance.now();
        this.#keep(lastMs, nowMs);
        lastMs = nowMs;
      }
      await delay(PAUSE_MS);
    }
    this.#keep(lastMs, performance.now());
  }

  #keep(fromMs: number, toMs: number): void {
    if (toMs - fromMs >= GAP_MS_MIN) this.#gaps.push({ fromMs, toMs });
  }

  async #missing(): Promise<number> {
    const [redis] = this.#clients;
    let lost = 0;
    for (let from = 0; from < this.#acknowledged.length; from += READ_AT_ONCE) {
      const keys = this.#acknowledged.slice(from, from + READ_AT_ONCE);
      const values = (await redis?.mget(...keys)) ?? [];
      lost += keys.filter((key, at) => values[at] !== key).length;
    }
    return lost;
  }
}

/** null: it was acknowledged. */
function errorOf(replies: unknown, at: number): Error | null {
  if (replies instanceof Error) return replies;
  const reply: unknown = Array.isArray(replies) ? replies[at] : undefined;
  const [error, value] = Array.isArray(reply) ? (reply as unknown[]) : [];
  if (error instanceof Error) return error;
  return value === "OK" ? null : new Error("no reply");
}
