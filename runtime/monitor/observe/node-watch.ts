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
  /** A node that fell silent since then has down-after from now to answer, on a fresh connection; once, until it was
      heard of again. */
  listenAnew(silentSinceMs: number): void;
  /** It has such a chance now. */
  isListeningAnew(): boolean;
  /** All that INFO tells, as text, on the standing connection; rejects when there is none, or when the node says
      nothing for twice down-after. Callers at the same time share one question. */
  details(): Promise<string>;
  close(): void;
}

export function watchNode(options: WatchOptions): NodeWatch {
  return new StandingWatch(options);
}

/** A first packet that was lost, TCP's or ARP's, is sent again after a second: no chance is shorter than that. */
const CHANCE_MS_LEAST = 1500;

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
  /** When something was last heard of the node. */
  #heardAtMs: number;
  #isSilent = false;
  #silentSinceMs = 0;
  /** Who never answers is not given one chance after the other by a network that comes and goes. */
  #mayListenAnew = true;
  /** The standing connection has brought an answer. */
  #hasAnswered = false;
  #endPatience: () => void = () => undefined;
  #giveUpConnecting: () => void = () => undefined;
  #sections: readonly string[] = INFO_SECTIONS;
  /** Answers to questions asked before a refresh are not kept. */
  #round = 0;
  #details: Promise<string> | undefined;

  constructor(options: WatchOptions) {
    this.address = options.address;
    this.#options = options;
    this.#nap = createNap(options.clock);
    this.#waitingSinceMs = options.clock.nowMs();
    this.#heardAtMs = this.#waitingSinceMs;
    this.#awaitWord();
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

  listenAnew(silentSinceMs: number): void {
    if (!this.#isSilent || this.#silentSinceMs < silentSinceMs || !this.#mayListenAnew) return;
    this.#mayListenAnew = false;
    this.#isSilent = false;
    const { clock, downAfterMs } = this.#options;
    const endMs = clock.nowMs() + Math.max(downAfterMs(), CHANCE_MS_LEAST);
    this.#waitUntil(endMs, downAfterMs());
    // What was sent into a cut network is sent again late: a new packet is there sooner.
    this.#link?.close();
    this.#giveUpConnecting();
    this.poke();
  }

  isListeningAnew(): boolean {
    return !this.#mayListenAnew && !this.#isSilent;
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
    this.#endPatience();
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
    if (this.#isSilent) return "silent";
    return this.#info === null ? "unknown" : "up";
  }

  /**
   * Silent is a node that was not heard of for down-after and owes an answer for at least half of that. The timer is part
   * of the judgement: one that comes late shows that this monitor itself was paused or starved, and answers may lie in
   * its sockets unread. So it gives the node half of down-after more instead of blaming it for its own sleep.
   */
  #awaitWord(): void {
    this.#endPatience();
    if (this.#isSilent || this.#waitingSinceMs === null) return;
    const downAfterMs = this.#options.downAfterMs();
    const endMs = Math.max(this.#heardAtMs + downAfterMs, this.#waitingSinceMs + downAfterMs / 2);
    this.#waitUntil(endMs, downAfterMs);
  }

  #waitUntil(endMs: number, downAfterMs: number): void {
    const { clock, onNews } = this.#options;
    this.#endPatience = clock.after(Math.max(1, endMs - clock.nowMs()), () => {
      const nowMs = clock.nowMs();
      if (nowMs - endMs > downAfterMs / 4) {
        this.#waitUntil(nowMs + downAfterMs / 2, downAfterMs);
        return;
      }
      this.#isSilent = true;
      this.#silentSinceMs = nowMs;
      onNews();
      // A host that was cut off or started anew may have forgotten this connection: a fresh one tells sooner.
      this.#link?.close();
    });
  }

  async #ask(): Promise<void> {
    const sentAtMs = this.#options.clock.nowMs();
    const round = this.#round;
    const isFirst = this.#waitingSinceMs === null;
    this.#waitingSinceMs ??= sentAtMs;
    if (isFirst) this.#awaitWord();
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
    const opening = this.#options.openLink(this.address, {
      credentials: this.#options.credentials,
      clientName: this.#options.clientName,
      connectTimeoutMs: this.isListeningAnew() ? Math.max(50, downAfterMs / 4) : downAfterMs,
      commandTimeoutMs: 2 * downAfterMs,
    });
    const link = await this.#unlessGivenUp(opening);
    link.onClose(() => {
      if (this.#link !== link) return;
      // A standing connection that breaks is worth a question at once: refused is news.
      this.#link = undefined;
      this.#info = null;
      this.poke();
    });
    return link;
  }

  #unlessGivenUp(opening: Promise<RedisLink>): Promise<RedisLink> {
    const { host, port } = this.address;
    return new Promise((resolve, reject) => {
      let isGivenUp = false;
      opening.then((link) => {
        if (isGivenUp) link.close();
        else resolve(link);
      }, reject);
      this.#giveUpConnecting = () => {
        isGivenUp = true;
        reject(new LinkError(`${host}:${port}: tried anew`, "other"));
      };
    });
  }

  #answered(reply: unknown, sentAtMs: number, round: number): void {
    const wasUp = !this.#isSilent && !this.#isRefused;
    this.#heard();
    this.#hasAnswered = true;
    this.#isRefused = false;
    const parsed = typeof reply === "string" ? parseInfo(reply) : undefined;
    const isFresh = parsed !== undefined && round === this.#round;
    if (isFresh) {
      this.#info = parsed;
      this.#askedAtMs = sentAtMs;
    }
    if (isFresh || !wasUp) this.#options.onNews();
  }

  /** An answer came: nothing is owed any more. */
  #heard(): void {
    this.#endPatience();
    this.#isSilent = false;
    this.#mayListenAnew = true;
    this.#waitingSinceMs = null;
    this.#heardAtMs = this.#options.clock.nowMs();
  }

  #failed(error: unknown): void {
    if (error instanceof LinkError && error.kind === "refused") {
      const isNews = !this.#isRefused;
      this.#isRefused = true;
      // A refusal is a word too, of the host: silence is counted from here if it comes to that.
      this.#heard();
      this.#waitingSinceMs = this.#heardAtMs;
      this.#info = null;
      if (isNews) this.#options.onNews();
      return;
    }
    if (isSyntaxError(error)) {
      this.#sections = [];
      return;
    }
    if (this.#isRefused) this.#awaitWord();
    this.#isRefused = false;
    this.#info = null;
    // Whatever it was, a fresh connection tells more than this one; at once, where this one had worked so far.
    const old = this.#link;
    this.#link = undefined;
    old?.close();
    if (this.#hasAnswered) this.poke();
    this.#hasAnswered = false;
  }
}

/** Redis before 7 takes one section of INFO only. */
function isSyntaxError(error: unknown): boolean {
  return error instanceof Error && /^ERR syntax/i.test(error.message);
}
