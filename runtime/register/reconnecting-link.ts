// reconnecting-link.ts: the connection to one status node. It reconnects, and calls never wait for a dead node.
//
//   idle --first call--> connecting --> open --reply timeout, or broken--> down --probe succeeded--> open
//                            \------------- fails ---------------------------/ ^--backoff--/
//
// Only the first calls wait for a connection. While the link is down, every call rejects at once with the reason. A probe
// in the background retries with growing pauses: it connects and sends one GET, because a paused server accepts
// connections too.
import { FailureError } from "../core/failure.ts";
import { STAMP_KEY } from "../core/register-keys.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkOptions, OpenLink, RedisAddress, RedisLink } from "../ports/redis-link.ts";
import type { Pipeline } from "./redis-acceptor.ts";
import { within } from "./within.ts";

const BACKOFF_MS = { first: 20, most: 250 } as const;

export interface ReconnectingLinkOptions {
  readonly address: RedisAddress;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly link: LinkOptions;
  /** The timeout of one reply. */
  readonly answerMs: number;
  /** Called for every new connection before it is used. If it rejects, the connection attempt has failed. */
  readonly onOpen?: (link: RedisLink) => Promise<void>;
}

export interface ReconnectingLink {
  readonly pipeline: Pipeline;
  /** Connects before the first call. */
  open(): void;
  close(): void;
}

export function reconnectingLink(options: ReconnectingLinkOptions): ReconnectingLink {
  const link = new Reconnecting(options);
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

class Reconnecting {
  readonly #options: ReconnectingLinkOptions;
  #link: RedisLink | undefined;
  /** The connection attempt in progress. */
  #attempt: Promise<RedisLink> | undefined;
  /** Why the link is down; undefined while idle, open, or connecting for the first time. */
  #cause: Error | undefined;
  #backoffMs: number = BACKOFF_MS.first;
  #cancelProbe: () => void = () => undefined;
  #isClosed = false;

  constructor(options: ReconnectingLinkOptions) {
    this.#options = options;
  }

  async pipeline(commands: Parameters<Pipeline>[0]): ReturnType<Pipeline> {
    if (this.#cause !== undefined) throw this.#cause;
    const link = this.#link ?? (await this.connect());
    // Written in one event-loop tick, so that no other call's commands come between them on this connection.
    const replies = Promise.all(commands.map(([command, ...args]) => link.call(command, ...args)));
    let forget: () => void = () => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      forget = this.#options.clock.after(this.#options.answerMs, () => {
        const cause = this.#silence();
        this.#fail(link, cause);
        reject(cause);
      });
    });
    // An error reply is a reply: the node is up. A timeout or a broken connection takes the link down.
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
    this.#cause = new FailureError("closed", "closed");
    this.#cancelProbe();
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
      if (this.#isClosed || !opened.isOpen)
        throw this.#cause ?? new FailureError("closed", "closed at once");
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
    this.#cancelProbe();
    this.#cancelProbe = this.#options.clock.after(this.#backoffMs, () => {
      this.connect().catch(() => undefined);
    });
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MS.most);
  }

  #silence(): Error {
    const { address, answerMs } = this.#options;
    return new FailureError("no-answer", `no answer within ${answerMs} ms`, {
      address: `${address.host}:${address.port}`,
    });
  }
}
