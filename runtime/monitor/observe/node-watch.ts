// node-watch.ts: one monitor's connection to one data node, and its observations there.
//
//   connect --> ask --answer--> rest --> ask ...
//      ^         | broken                        refused: no process listens, known at once
//      +---------+                               no answer for down-after: silent
//
// One question at a time: a node that hangs must not get a backlog of questions.
import type { Credentials } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import { startPeriodicTask, type PeriodicTask } from "../../ports/periodic-task.ts";
import {
  LinkError,
  type OpenLink,
  type RedisAddress,
  type RedisLink,
} from "../../ports/redis-link.ts";
import {
  COUNTED_REFUSALS,
  INFO_SECTIONS,
  parseInfo,
  type CountedRefusal,
  type NodeInfo,
} from "../decide/nodes/info.ts";
import { largeValueMs } from "./large-value.ts";
import type { NodeObservation } from "../decide/nodes/observations.ts";
import { BusyScript, isBusyError } from "./busy-script.ts";

export interface WatchOptions {
  readonly address: RedisAddress;
  readonly credentials: Credentials | undefined;
  readonly clientName: string;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  /** Resolves when a question may be sent; undefined: now. */
  readonly mayAsk?: () => Promise<void> | undefined;
  readonly downAfterMs: () => number;
  /** How long to rest after an answer, and after a refusal. */
  readonly restMs: (reach: "up" | "refused") => number;
  /** The alpha asks for INFO; other monitors only need any answer, which costs a tenth. */
  readonly wantsInfo: () => boolean;
  /** Called when the reach has changed, or an INFO has arrived. */
  readonly onNews: () => void;
  /** Called when a script that blocked the node was ended. */
  readonly onScriptKilled?: () => void;
}

export interface NodeWatch {
  readonly address: RedisAddress;
  observation(): NodeObservation;
  /** Asks now. */
  trigger(): void;
  /** Drops the last INFO and asks now. An INFO from another alpha's time proves nothing. */
  refresh(): void;
  /** A node that became silent at or after `silentSinceMs` gets down-after from now to answer, on a new connection; only
      once, until it has answered. */
  listenAnew(silentSinceMs: number): void;
  /** Whether the node has such a second chance now. */
  isListeningAnew(): boolean;
  /** INFO all, as text, on the present connection. Rejects when there is none, or when the node does not answer within
      twice down-after. Calls at the same time share one question. */
  details(): Promise<string>;
  /** CONFIG GET of each name, on the present connection; rejects as details(). */
  settings(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  close(): void;
}

export function watchNode(options: WatchOptions): NodeWatch {
  return new ConnectedWatch(options);
}

/** TCP and ARP repeat a lost first packet after a second, so a second chance must be longer. */
const CHANCE_MS_LEAST = 1500;

/** An answer that is outstanding for this part of down-after (a quarter) is overdue. */
const OVERDUE_PART = 4;

/** How long a refusal is reported. */
const LATELY_MS = 60_000;

class ConnectedWatch implements NodeWatch {
  readonly address: RedisAddress;
  readonly #options: WatchOptions;
  readonly #asking: PeriodicTask;
  #link: RedisLink | undefined;
  #isRefused = false;
  #info: NodeInfo | null = null;
  #askedAtMs = 0;
  /** Since when an answer is outstanding; null while none is. */
  #waitingSinceMs: number | null;
  /** When the node last answered or refused. */
  #heardAtMs: number;
  #isSilent = false;
  #silentSinceMs = 0;
  /** Only one second chance until the node answers: otherwise an unstable network would bring one after the other. */
  #mayListenAnew = true;
  /** The present connection has brought an answer. */
  #hasAnswered = false;
  #endPatience: () => void = () => undefined;
  /** When the node counts as silent unless it answers. */
  #patienceEndMs = Infinity;
  #giveUpConnecting: () => void = () => undefined;
  #sections: readonly string[] = INFO_SECTIONS;
  /** Incremented by refresh(): answers to earlier questions are not kept. */
  #round = 0;
  #details: Promise<string> | undefined;
  readonly #script: BusyScript;
  #counted:
    (Pick<NodeInfo, "runId"> & { counts: NonNullable<NodeInfo["refusedCounts"]> }) | undefined;
  readonly #refusedAtMs = new Map<CountedRefusal, number>();

  constructor(options: WatchOptions) {
    this.address = options.address;
    this.#options = options;
    this.#waitingSinceMs = options.clock.nowMs();
    this.#heardAtMs = this.#waitingSinceMs;
    this.#awaitWord();
    this.#script = new BusyScript({
      clock: options.clock,
      downAfterMs: options.downAfterMs,
      mayKill: options.wantsInfo,
      onKilled: () => {
        options.onScriptKilled?.();
        // Its connections may have several such scripts, one after the other: each gets the same time.
        this.#heard();
        this.trigger();
      },
    });
    this.#asking = startPeriodicTask({
      clock: options.clock,
      restMs: () => options.restMs(this.#waitingSinceMs === null ? "up" : "refused"),
      run: () => options.mayAsk?.()?.then(() => this.#ask()) ?? this.#ask(),
      // Every failure is an observation, which #failed records.
      onError: () => undefined,
    });
  }

  observation(): NodeObservation {
    const reach = this.#reach();
    const nowMs = this.#options.clock.nowMs();
    const lately = [...this.#refusedAtMs].filter(([, atMs]) => nowMs - atMs < LATELY_MS);
    return {
      reach,
      info: this.#info,
      askedAtMs: this.#askedAtMs,
      ...(reach === "silent" ? { silentForMs: nowMs - this.#silentSinceMs } : {}),
      ...(this.#script.state === "none" ? {} : { script: this.#script.state }),
      ...(reach === "up" && this.#isOverdue() ? { silentInMs: this.#patienceEndMs - nowMs } : {}),
      ...(lately.length > 0 ? { refusedLately: lately.map(([kind]) => kind) } : {}),
    };
  }

  trigger(): void {
    this.#asking.trigger();
  }

  refresh(): void {
    this.#round += 1;
    this.#info = null;
    this.trigger();
  }

  listenAnew(silentSinceMs: number): void {
    if (!this.#isSilent || this.#silentSinceMs < silentSinceMs || !this.#mayListenAnew) return;
    this.#mayListenAnew = false;
    this.#isSilent = false;
    const { clock, downAfterMs } = this.#options;
    const endMs = clock.nowMs() + Math.max(downAfterMs(), CHANCE_MS_LEAST);
    this.#waitUntil(endMs, downAfterMs());
    // The system repeats packets into a cut network late. A new connection's packet arrives sooner.
    this.#link?.close();
    this.#giveUpConnecting();
    this.trigger();
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

  /** Redis 6 accepts one name a call. */
  async settings(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const link = this.#present();
    const replies = await Promise.all(names.map((name) => link.call("CONFIG", "GET", name)));
    const pairs = replies.flatMap((reply) => {
      const [name, value] = Array.isArray(reply) ? (reply as unknown[]) : [];
      return typeof name === "string" && typeof value === "string" ? [[name, value] as const] : [];
    });
    return new Map(pairs);
  }

  #present(): RedisLink {
    const { host, port } = this.address;
    if (this.#link === undefined) throw new LinkError(`${host}:${port}: no connection`, "other");
    return this.#link;
  }

  async #askDetails(): Promise<string> {
    const { host, port } = this.address;
    const reply = await this.#present().call("INFO", "all");
    if (typeof reply === "string") return reply;
    throw new LinkError(`${host}:${port}: INFO answers no text`, "other");
  }

  close(): void {
    this.#endPatience();
    this.#link?.close();
    void this.#asking.stop().then(() => {
      this.#endPatience();
      this.#link?.close();
    });
  }

  #isOverdue(): boolean {
    const { clock, downAfterMs } = this.#options;
    const sinceMs = this.#waitingSinceMs;
    return sinceMs !== null && clock.nowMs() - sinceMs >= downAfterMs() / OVERDUE_PART - 1;
  }

  #reach(): NodeObservation["reach"] {
    if (this.#isRefused) return "refused";
    if (this.#isSilent) return "silent";
    return this.#info === null ? "unknown" : "up";
  }

  /**
   * A node is silent when it was not heard of for down-after, and an answer is outstanding for at least half of that. If
   * the timer fires late, this monitor itself was paused or starved, and answers may be unread in its sockets: the node
   * then gets half of down-after more.
   */
  #awaitWord(): void {
    this.#endPatience();
    if (this.#isSilent || this.#waitingSinceMs === null) return;
    const downAfterMs = this.#options.downAfterMs();
    const endMs = Math.max(this.#heardAtMs + downAfterMs, this.#waitingSinceMs + downAfterMs / 2);
    this.#waitUntil(endMs + largeValueMs(this.#info, downAfterMs), downAfterMs);
  }

  #waitUntil(endMs: number, downAfterMs: number): void {
    const { clock, onNews } = this.#options;
    this.#patienceEndMs = endMs;
    // The alpha may act on an overdue answer before the node counts as silent.
    const endOverdue = clock.after(downAfterMs / OVERDUE_PART, onNews);
    const endSilent = clock.after(Math.max(1, endMs - clock.nowMs()), () => {
      const nowMs = clock.nowMs();
      if (nowMs - endMs > downAfterMs / 4) {
        this.#waitUntil(nowMs + downAfterMs / 2, downAfterMs);
        return;
      }
      this.#isSilent = true;
      this.#silentSinceMs = nowMs;
      onNews();
      // A host that was cut off or restarted may have lost this connection: a new one gets an answer sooner.
      if (this.#script.state === "none") this.#link?.close();
    });
    this.#endPatience = () => {
      endOverdue();
      endSilent();
    };
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
      if (isBusyError(error) && this.#link !== undefined) await this.#busy(error, this.#link);
      else this.#failed(error);
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
      // When a connection breaks, ask at once: the port may refuse now.
      this.#link = undefined;
      this.#info = null;
      this.trigger();
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
    this.#script.ended();
    const parsed = typeof reply === "string" ? parseInfo(reply) : undefined;
    const isFresh = parsed !== undefined && round === this.#round;
    if (parsed !== undefined) this.#noteRefusals(parsed);
    if (isFresh) {
      this.#info = parsed;
      this.#askedAtMs = sentAtMs;
    }
    if (isFresh || !wasUp) this.#options.onNews();
  }

  /** Records errors that clients got since the last INFO of the same process. */
  #noteRefusals({ runId, refusedCounts = {} }: NodeInfo): void {
    const before = this.#counted?.runId === runId ? this.#counted.counts : undefined;
    this.#counted = { runId, counts: refusedCounts };
    if (before === undefined) return;
    const nowMs = this.#options.clock.nowMs();
    for (const kind of COUNTED_REFUSALS) {
      if ((refusedCounts[kind] ?? 0) > (before[kind] ?? 0)) this.#refusedAtMs.set(kind, nowMs);
    }
  }

  /** An answer has arrived: none is outstanding any more. */
  #heard(): void {
    this.#endPatience();
    this.#isSilent = false;
    this.#mayListenAnew = true;
    this.#waitingSinceMs = null;
    this.#heardAtMs = this.#options.clock.nowMs();
  }

  /** The node answers, but serves no client. If the script can't be ended the node becomes silent; the view shows why. */
  async #busy(error: Error, link: RedisLink): Promise<void> {
    if (this.#isRefused) this.#awaitWord();
    this.#isRefused = false;
    this.#info = null;
    await this.#script.busy(error, link, this.#heardAtMs).catch((cause: unknown) => {
      this.#failed(cause);
    });
  }

  #failed(error: unknown): void {
    if (error instanceof LinkError && error.kind === "refused") {
      const isNews = !this.#isRefused;
      this.#isRefused = true;
      // A refusal is an answer too, of the host: silence counts from here.
      this.#heard();
      this.#waitingSinceMs = this.#heardAtMs;
      this.#info = null;
      if (isNews) this.#options.onNews();
      return;
    }
    this.#script.ended();
    if (isSyntaxError(error)) {
      this.#sections = [];
      return;
    }
    if (this.#isRefused) this.#awaitWord();
    this.#isRefused = false;
    this.#info = null;
    // After any other error use a new connection; at once, if this one had worked.
    const old = this.#link;
    this.#link = undefined;
    old?.close();
    if (this.#hasAnswered) this.trigger();
    this.#hasAnswered = false;
  }
}

/** Redis before 7 accepts only one section of INFO. */
function isSyntaxError(error: unknown): boolean {
  return error instanceof Error && /^ERR syntax/i.test(error.message);
}
