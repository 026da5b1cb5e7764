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
  close(): void;
}

export function watchNode(options: WatchOptions): NodeWatch {
  const { clock } = options;
  let link: RedisLink | undefined;
  let isClosed = false;
  let isRefused = false;
  let info: NodeInfo | null = null;
  let askedAtMs = 0;
  // Since when an answer is owed; null while none is.
  let waitingSinceMs: number | null = clock.nowMs();
  let sections: readonly string[] = INFO_SECTIONS;
  let endRest: (() => void) | undefined;
  let isPoked = false;
  // Answers to questions asked before a refresh are not kept.
  let round = 0;

  const poke = (): void => {
    isPoked = true;
    endRest?.();
  };
  const rest = (restMs: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        takeBack();
        endRest = undefined;
        resolve();
      };
      const takeBack = clock.after(isPoked ? 1 : restMs, end);
      isPoked = false;
      endRest = end;
    });

  const connect = async (): Promise<RedisLink> => {
    const downAfterMs = options.downAfterMs();
    const opened = await options.openLink(options.address, {
      credentials: options.credentials,
      clientName: options.clientName,
      connectTimeoutMs: downAfterMs,
      commandTimeoutMs: 2 * downAfterMs,
    });
    opened.onClose(() => {
      if (link !== opened) return;
      // A standing connection that breaks is worth a question at once: refused is news.
      link = undefined;
      info = null;
      poke();
    });
    return opened;
  };

  const answered = (reply: unknown, sentAtMs: number, sentInRound: number): void => {
    const wasUp = waitingSinceMs === null && !isRefused;
    waitingSinceMs = null;
    isRefused = false;
    const parsed = typeof reply === "string" ? parseInfo(reply) : undefined;
    if (parsed !== undefined && sentInRound === round) {
      info = parsed;
      askedAtMs = sentAtMs;
      options.onNews();
    } else if (!wasUp) options.onNews();
  };

  const failed = (error: unknown): void => {
    waitingSinceMs ??= clock.nowMs();
    if (error instanceof LinkError && error.kind === "refused") {
      const isNews = !isRefused;
      isRefused = true;
      info = null;
      if (isNews) options.onNews();
      return;
    }
    if (isSyntaxError(error)) sections = [];
    else {
      isRefused = false;
      info = null;
      // Whatever it was, a fresh connection tells more than this one.
      const old = link;
      link = undefined;
      old?.close();
    }
  };

  const ask = async (): Promise<void> => {
    const sentAtMs = clock.nowMs();
    const sentInRound = round;
    waitingSinceMs ??= sentAtMs;
    try {
      link ??= await connect();
      const reply = options.wantsInfo()
        ? await link.call("INFO", ...sections)
        : await link.call("ROLE");
      answered(reply, sentAtMs, sentInRound);
    } catch (error) {
      failed(error);
    }
  };

  const run = async (): Promise<void> => {
    while (!isClosed) {
      await ask();
      await rest(options.restMs(waitingSinceMs === null ? "up" : "refused"));
    }
    link?.close();
  };
  void run();

  const reach = (): Sight["reach"] => {
    if (isRefused) return "refused";
    const waitedMs = waitingSinceMs === null ? 0 : clock.nowMs() - waitingSinceMs;
    if (waitedMs >= options.downAfterMs()) return "silent";
    return info === null ? "unknown" : "up";
  };
  return {
    address: options.address,
    sight: () => ({ reach: reach(), info, askedAtMs }),
    poke,
    refresh: () => {
      round += 1;
      info = null;
      poke();
    },
    close: () => {
      isClosed = true;
      link?.close();
      endRest?.();
    },
  };
}

/** Redis before 7 takes one section of INFO only. */
function isSyntaxError(error: unknown): boolean {
  return error instanceof Error && /^ERR syntax/i.test(error.message);
}
