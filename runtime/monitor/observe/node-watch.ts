// node-watch.ts: one monitor's standing connection to one data node, and what it sees there.
//
//   connect --> ask --answer--> rest --> ask ...
//      ^         | broken                        refused: nobody listens, known at once
//      +---------+                               no answer for down-after: silent
//
// One question at a time: a node that hangs is not buried under questions that it will answer when it wakes.
import type { Credentials } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import {
  LinkError,
  type OpenLink,
  type RedisAddress,
  type RedisLink,
} from "../../ports/redis-link.ts";
import { createNap, type Nap } from "../nap.ts";
import { INFO_SECTIONS, parseInfo, type NodeInfo } from "../decide/info.ts";
import type { Sight } from "../decide/observations.ts";

export interface WatchOptions {
  readonly address: RedisAddress;
  readonly credentials: Credentials | undefined;
  readonly clientName: string;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly downAfterMs: () => number;
  /** How long to rest after an answer, and after a refusal. */
  readonly restMs: (reach: "up" | "refused") => number;
  /** The alpha asks for INFO; the others only need a sign of life, which costs a tenth. */
  readonly wantsInfo: () => boolean;
  /** The reach changed, or an INFO came. */
  readonly onNews: () => void;
}

export interface NodeWatch {
  readonly address: RedisAddress;
  sight(): Sight;
  /** Ask now. */
  poke(): void;
  /** Forget the last INFO and ask now: what was true under another alpha proves nothing. */
  refresh(): void;
  /** All that INFO tells, as text, on the standing connection; rejects when there is none, or when the node says
      nothing for twice down-after. Callers at the same time share one question. */
  details(): Promise<string>;
  close(): void;
}

export function watchNode(options: WatchOptions): NodeWatch {
  return new StandingWatch(options);
}

class StandingWatch implements NodeWatch {
  readonly address: RedisAddress;
  readonly #options: WatchOptions;
  readonly #nap: Nap;
  #link: RedisLink | undefined;
  #isClosed = false;
  #isRefused = false;
  #info: NodeInfo | null = null;
  #askedAtMs = 0;
  /** Since when an answer is owed; null while none is. */
  #waitingSinceMs: number | null;
  #sections: readonly string[] = INFO_SECTIONS;
  /** Answers to questions asked before a refresh are not kept. */
  #round = 0;
  #details: Promise<string> | undefined;

  constructor(options: WatchOptions) {
    this.address = options.address;
    this.#options = options;
    this.#nap = createNap(options.clock);
    this.#waitingSinceMs = options.clock.nowMs();
    void this.#run();
  }

  sight(): Sight {
    return { reach: this.#reach(), info: this.#info, askedAtMs: this.#askedAtMs };
  }

  poke(): void {
    this.#nap.wake();
  }

  refresh(): void {
    this.#round += 1;
    this.#info = null;
    this.poke();
  }

  details(): Promise<string> {
    this.#details ??= this.#askDetails().finally(() => {
      this.#details = undefined;
    });
    return this.#details;
  }

  async #askDetails(): Promise<string> {
    const { host, port } = this.address;
    if (this.#link === undefined) throw new LinkError(`${host}:${port}: no connection`, "other");
    const reply = await this.#link.call("INFO", "all");
    if (typeof reply === "string") return reply;
    throw new LinkError(`${host}:${port}: INFO answers no text`, "other");
  }

  close(): void {
    this.#isClosed = true;
    this.#link?.close();
    this.#nap.wake();
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      await this.#ask();
      await this.#nap.take(this.#options.restMs(this.#waitingSinceMs === null ? "up" : "refused"));
    }
    this.#link?.close();
  }

  #reach(): Sight["reach"] {
    if (this.#isRefused) return "refused";
    const { clock, downAfterMs } = this.#options;
    const waitedMs = this.#waitingSinceMs === null ? 0 : clock.nowMs() - this.#waitingSinceMs;
    if (waitedMs >= downAfterMs()) return "silent";
    return this.#info === null ? "unknown" : "up";
  }

  async #ask(): Promise<void> {
    const sentAtMs = this.#options.clock.nowMs();
    const round = this.#round;
    this.#waitingSinceMs ??= sentAtMs;
    try {
      this.#link ??= await this.#connect();
      const reply = this.#options.wantsInfo()
        ? await this.#link.call("INFO", ...this.#sections)
        : await this.#link.call("ROLE");
      this.#answered(reply, sentAtMs, round);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #connect(): Promise<RedisLink> {
    const downAfterMs = this.#options.downAfterMs();
    const link = await this.#options.openLink(this.address, {
      credentials: this.#options.credentials,
      clientName: this.#options.clientName,
      connectTimeoutMs: downAfterMs,
      commandTimeoutMs: 2 * downAfterMs,
    });
    link.onClose(() => {
      if (this.#link !== link) return;
      // A standing connection that breaks is worth a question at once: refused is news.
      this.#link = undefined;
      this.#info = null;
      this.poke();
    });
    return link;
  }

  #answered(reply: unknown, sentAtMs: number, round: number): void {
    const wasUp = this.#waitingSinceMs === null && !this.#isRefused;
    this.#waitingSinceMs = null;
    this.#isRefused = false;
    const parsed = typeof reply === "string" ? parseInfo(reply) : undefined;
    const isFresh = parsed !== undefined && round === this.#round;
    if (isFresh) {
      this.#info = parsed;
      this.#askedAtMs = sentAtMs;
    }
    if (isFresh || !wasUp) this.#options.onNews();
  }

  #failed(error: unknown): void {
    this.#waitingSinceMs ??= this.#options.clock.nowMs();
    if (error instanceof LinkError && error.kind === "refused") {
      const isNews = !this.#isRefused;
      this.#isRefused = true;
      this.#info = null;
      if (isNews) this.#options.onNews();
      return;
    }
    if (isSyntaxError(error)) {
      this.#sections = [];
      return;
    }
    this.#isRefused = false;
    this.#info = null;
    // Whatever it was, a fresh connection tells more than this one.
    const old = this.#link;
    this.#link = undefined;
    old?.close();
  }
}

/** Redis before 7 takes one section of INFO only. */
function isSyntaxError(error: unknown): boolean {
  return error instanceof Error && /^ERR syntax/i.test(error.message);
}
