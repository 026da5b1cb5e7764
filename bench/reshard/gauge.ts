// gauge.ts: one client that writes one key after the other, and measures how long each write takes.
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { numberOf } from "../../runtime/resp/value.ts";
import type { CommandLink } from "../../test/support/counted-writer.ts";

const KEYS = 60;
const REST_MS = 3;

export class Gauge {
  errors = 0;
  readonly wrong: string[] = [];
  readonly #link: CommandLink;
  readonly #running: Promise<void>;
  #tookMs: number[] = [];
  #isOver = false;

  /** Begins at once; the link is its own. */
  constructor(link: CommandLink) {
    this.#link = link;
    this.#running = this.#run();
  }

  /** Of the writes since the last call. */
  take(): { readonly p99Ms: number; readonly longestMs: number } {
    const sorted = this.#tookMs.toSorted((a, b) => a - b);
    this.#tookMs = [];
    const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
    return { p99Ms, longestMs: sorted.at(-1) ?? 0 };
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    this.#link.destroy();
  }

  async #run(): Promise<void> {
    for (let count = 0; !this.#isOver; count++) {
      const expected = Math.floor(count / KEYS) + 1;
      const key = `gauge:${count % KEYS}`;
      const beganMs = clock.nowMs();
      const reply = await this.#link.call("INCR", key).catch(() => undefined);
      this.#tookMs.push(clock.nowMs() - beganMs);
      if (reply === undefined) this.errors++;
      else if (numberOf(reply) !== expected && this.errors === 0) {
        this.wrong.push(`${key}: ${String(numberOf(reply))} instead of ${expected}`);
      }
      await clock.delay(REST_MS);
    }
  }
}
