// standing-link.ts: one status node's connection, kept up without ever making anybody wait for a dead node.
//
//   idle --first call--> connecting --> open --no answer in time, or broken--> down --probe answered--> open
//                            \------------- no --------------------------------/ ^--backoff--/
//
// Only the first calls wait for a connection. While down every call rejects at once with the reason, and a probe in the
// background (connect, then one GET, since a paused server accepts connections too) tries again, ever less often.
import { STAMP_KEY } from "../core/register-keys.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkOptions, OpenLink, RedisAddress, RedisLink } from "../ports/redis-link.ts";
import type { Pipeline } from "./redis-acceptor.ts";
import { within } from "./within.ts";

const BACKOFF_MS = { first: 20, most: 250 } as const;

export interface StandingLinkOptions {
  readonly address: RedisAddress;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly link: LinkOptions;
  /** How long one answer may take. */
  readonly answerMs: number;
  /** Called at every new connection, before it serves any call; a rejection makes it a failed one. */
  readonly onOpen?: (link: RedisLink) => Promise<void>;
}

export interface StandingLink {
  readonly pipeline: Pipeline;
  /** Connects without waiting for a first call. */
  open(): void;
  close(): void;
}

export function standingLink(options: StandingLinkOptions): StandingLink {
  const link = new Standing(options);
  return {
    pipeline: (commands) => link.pipeline(commands),
    open: () => {
      link.connect().catch(() => undefined);
    },
    close: () => {
      link.close();
    },
  };
}

class Standing {
  readonly #options: StandingLinkOptions;
  #link: RedisLink | undefined;
  /** The attempt under way. */
  #attempt: Promise<RedisLink> | undefined;
  /** Why it is down; undefined while idle, open, or connecting for the first time. */
  #cause: Error | undefined;
  #backoffMs: number = BACKOFF_MS.first;
  #forgetProbe: () => void = () => undefined;
  #isClosed = false;

  constructor(options: StandingLinkOptions) {
    this.#options = options;
  }

  async pipeline(commands: Parameters<Pipeline>[0]): ReturnType<Pipeline> {
    if (this.#cause !== undefined) throw this.#cause;
    const link = this.#link ?? (await this.connect());
    // Written in one tick, so that nobody else's commands come between them on this connection.
    const replies = Promise.all(commands.map(([command, ...args]) => link.call(command, ...args)));
    let forget: () => void = () => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      forget = this.#options.clock.after(this.#options.answerMs, () => {
        const cause = this.#silence();
        this.#fail(link, cause);
        reject(cause);
      });
    });
    // An error reply passes through: the node is there. Silence or a broken connection takes the link down.
    return Promise.race([replies, late]).finally(forget);
  }

  connect(): Promise<RedisLink> {
    this.#attempt ??= this.#connectOnce().finally(() => {
      this.#attempt = undefined;
    });
    return this.#attempt;
  }

  close(): void {
    this.#isClosed = true;
    this.#cause = new Error("closed");
    this.#forgetProbe();
    this.#link?.close();
    this.#link = undefined;
  }

  async #connectOnce(): Promise<RedisLink> {
    const { address, clock, openLink, link: linkOptions, answerMs, onOpen } = this.#options;
    let link: RedisLink | undefined;
    const opening = openLink(address, linkOptions).then((opened) => (link = opened));
    let isAbandoned = false;
    opening.then(
      (opened) => {
        if (isAbandoned) opened.close();
      },
      () => undefined,
    );
    try {
      const opened = await within(clock, linkOptions.connectTimeoutMs, opening);
      await within(clock, answerMs, opened.call("GET", STAMP_KEY));
      await onOpen?.(opened);
      if (this.#isClosed || !opened.isOpen) throw this.#cause ?? new Error("closed at once");
      this.#link = opened;
      this.#cause = undefined;
      this.#backoffMs = BACKOFF_MS.first;
      opened.onClose((cause) => {
        this.#fail(opened, cause);
      });
      return opened;
    } catch (error) {
      isAbandoned = true;
      link?.close();
      const cause = error instanceof Error ? error : new Error(String(error));
      this.#down(cause);
      throw cause;
    }
  }

  #fail(link: RedisLink, cause: Error): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    link.close();
    this.#down(cause);
  }

  #down(cause: Error): void {
    if (this.#isClosed) return;
    this.#cause = cause;
    this.#forgetProbe();
    this.#forgetProbe = this.#options.clock.after(this.#backoffMs, () => {
      this.connect().catch(() => undefined);
    });
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MS.most);
  }

  #silence(): Error {
    const { address, answerMs } = this.#options;
    return new Error(`${address.host}:${address.port}: no answer within ${answerMs} ms`);
  }
}
