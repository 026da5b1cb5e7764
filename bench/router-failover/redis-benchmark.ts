// redis-benchmark.ts: redis-benchmark against the router, in an endless loop over its tests, until told to end. It ends by
// itself at the first error reply (since 7.0 without exception) or broken connection, and says which.
import { spawn, type ChildProcess } from "node:child_process";

/** Leave the same when done twice, or only read. MSET is cut into its partitions. */
const IDEMPOTENT_TESTS = ["set", "get", "sadd", "hset", "zadd", "mset"];
const ALL_TESTS = [...IDEMPOTENT_TESTS, "incr"];

export interface BenchmarkPlan {
  readonly port: number;
  readonly pipeline: number;
  readonly isIdempotentOnly: boolean;
}

/** Requests per test: each takes about a tenth of a second, so that a loss may come in any of them. */
const REQUESTS: Readonly<Record<number, number>> = { 1: 1000, 16: 10_000 };
const CLIENTS = 50;
const KEYS = 100_000;

export class RedisBenchmark {
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #said = "";
  #isEnding = false;
  #isGone = false;

  constructor({ port, pipeline, isIdempotentOnly }: BenchmarkPlan) {
    const tests = (isIdempotentOnly ? IDEMPOTENT_TESTS : ALL_TESTS).join(",");
    const requests = REQUESTS[pipeline] ?? 10_000;
    const numbers = { "-p": port, "-c": CLIENTS, "-P": pipeline, "-n": requests, "-r": KEYS };
    const args = Object.entries(numbers).flatMap(([name, value]) => [name, String(value)]);
    this.#child = spawn("redis-benchmark", [...args, "-t", tests, "-l", "-q"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr?.on("data", (data: Buffer) => (this.#said += data.toString()));
    this.#gone = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", () => {
        this.#isGone = true;
        resolve();
      });
    });
  }

  /** Ends it. The first word of the error at which it had ended by itself; undefined when it was still at work. */
  async end(): Promise<string | undefined> {
    this.#isEnding = !this.#isGone;
    if (this.#isEnding) this.#child.kill("SIGKILL");
    await this.#gone;
    return this.#isEnding ? undefined : firstErrorWord(this.#said);
  }
}

/** Of what it wrote to its standard error. */
export function firstErrorWord(text: string): string {
  const reply = /Error from server: (\S+)/.exec(text);
  return reply?.[1] ?? `ended:${text.trim().split("\n").at(-1) ?? ""}`;
}
