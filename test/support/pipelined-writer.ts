// pipelined-writer.ts: a client that writes through a router without a pause, a batch on the wire at any time, and
// remembers what was acknowledged.
import { Redis } from "ioredis";

const BATCH = 50;

export class PipelinedWriter {
  /** Keys that the cluster said it has. */
  readonly acknowledged: string[] = [];
  /** Errors as the client saw them. */
  readonly errors: string[] = [];
  /** The longest time that one batch took, in milliseconds. */
  longestMs = 0;
  readonly #redis: Redis;
  readonly #prefix: string;
  #isStopped = false;
  #running: Promise<void> | undefined;

  /** `port`: a router's. Keys are PREFIX0, PREFIX1 and so on. */
  constructor(port: number, prefix: string) {
    this.#prefix = prefix;
    this.#redis = new Redis({
      host: "127.0.0.1",
      port,
      maxRetriesPerRequest: 0,
      lazyConnect: true,
    });
    this.#redis.on("error", (error: Error) => this.errors.push(error.message));
  }

  async start(): Promise<void> {
    await this.#redis.connect();
    this.#running = this.#run();
  }

  /** Ends after the batch under way, and reads back all that was acknowledged: the keys that are missing. */
  async stop(): Promise<string[]> {
    this.#isStopped = true;
    await this.#running;
    const missing: string[] = [];
    for (let from = 0; from < this.acknowledged.length; from += 500) {
      const keys = this.acknowledged.slice(from, from + 500);
      const values = await this.#redis.mget(...keys);
      missing.push(...keys.filter((key, at) => values[at] !== key));
    }
    this.#redis.disconnect();
    return missing;
  }

  async #run(): Promise<void> {
    for (let next = 0; !this.#isStopped; next += BATCH) {
      const keys = Array.from({ length: BATCH }, (_, at) => `${this.#prefix}${next + at}`);
      const sentAtMs = performance.now();
      const pipeline = this.#redis.pipeline();
      for (const key of keys) pipeline.set(key, key);
      const replies = (await pipeline.exec()) ?? [];
      this.longestMs = Math.max(this.longestMs, performance.now() - sentAtMs);
      for (const [at, [error]] of replies.entries()) {
        if (error === null) this.acknowledged.push(keys[at] ?? "");
        else this.errors.push(error.message);
      }
    }
  }
}
