// redis-link.ts: one connection to one redis-server as a port; the implementation uses ioredis.
// A link never reconnects: its owner decides whether to open another.
import { Redis } from "ioredis";
import { attemptsOf, type Login } from "../core/credentials.ts";
import { FailureError, failureKindOf, type FailureKind } from "../core/failure.ts";
import { tlsTo, type LinkTls } from "./link-tls.ts";
import { errorText } from "../core/error-text.ts";

export type RedisReply =
  | string
  | number
  | null
  | boolean
  | Error
  | readonly RedisReply[]
  | { readonly [key: string]: RedisReply };

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly db?: number;
}

export interface RedisLink {
  /** Sends one command. Rejects with the server's error reply, or when the link breaks. Calls are pipelined. */
  call(command: string, ...args: (string | number)[]): Promise<RedisReply>;
  /** Subscribes to a channel; the link can't be used for other commands then. */
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  /** Calls `task` once, when the link breaks or is closed. */
  onClose(task: (cause: Error) => void): void;
  close(): void;
  readonly isOpen: boolean;
}

export interface LinkOptions {
  readonly credentials?: Login | undefined;
  /** CLIENT SETNAME at connect. */
  readonly clientName?: string;
  /** The timeout of connecting and greeting together: a paused server accepts connections and sends nothing. */
  readonly connectTimeoutMs: number;
  /** A command without a reply for this long rejects; the link stays open. Absent: no timeout. */
  readonly commandTimeoutMs?: number;
  /** Absent: without TLS. */
  readonly tls?: LinkTls | undefined;
}

/** Why a link could not be opened, or broke. */
export class LinkError extends FailureError {
  constructor(reason: string, kind: FailureKind, more: { address?: string; cause?: unknown } = {}) {
    super(kind, reason, more);
    this.name = "LinkError";
  }
}

/** Opens links. In production it is `openRedisLink`; the simulation has its own. */
export type OpenLink = (address: RedisAddress, options: LinkOptions) => Promise<RedisLink>;

/** Uses the fallback if the server refuses the first password. */
export const openRedisLink: OpenLink = async (address, options) => {
  const { credentials } = options;
  if (credentials === undefined) return openAs(undefined, address, options);
  const { username } = credentials;
  const [password = "", fallback] = attemptsOf(credentials);
  try {
    return await openAs({ username, password }, address, options);
  } catch (error) {
    const isRefused = error instanceof LinkError && error.kind === "login";
    if (!isRefused || fallback === undefined) throw error;
    return openAs({ username, password: fallback }, address, options);
  }
};

function openAs(
  login: Pick<Login, "username" | "password"> | undefined,
  address: RedisAddress,
  options: LinkOptions,
): Promise<RedisLink> {
  const redis = new Redis({
    host: address.host,
    port: address.port,
    db: address.db ?? 0,
    lazyConnect: true,
    protocol: 2,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: options.connectTimeoutMs,
    disconnectTimeout: GOODBYE_MS,
    ...(options.commandTimeoutMs === undefined ? {} : { commandTimeout: options.commandTimeoutMs }),
    ...(options.clientName === undefined ? {} : { connectionName: options.clientName }),
    ...(options.tls === undefined ? {} : { tls: tlsTo(address.host, options.tls) }),
    ...(login ?? {}),
  });
  return openLink(redis, address, options.connectTimeoutMs);
}

/** How long a server may take to close its side before the connection is destroyed. */
const GOODBYE_MS = 200;

async function openLink(
  redis: Redis,
  address: RedisAddress,
  connectTimeoutMs: number,
): Promise<RedisLink> {
  let lastError: Error | undefined;
  let isOpen = false;
  const closers: ((cause: Error) => void)[] = [];
  redis.on("error", (error: Error) => {
    lastError = error;
  });
  redis.on("end", () => {
    const wasOpen = isOpen;
    isOpen = false;
    const place = `${address.host}:${address.port}`;
    const cause = lastError ?? new LinkError(`connection to ${place} closed`, "closed");
    if (wasOpen) for (const closer of closers.splice(0)) closer(cause);
  });
  // ioredis would wait for the end of a stream that has ended, and would keep the process alive.
  const close = (): void => {
    if (redis.status !== "end") redis.disconnect();
  };
  try {
    await connectWithin(redis, connectTimeoutMs);
  } catch (error) {
    close();
    throw linkErrorOf(address, lastError ?? error);
  }
  isOpen = true;
  return {
    call: (command, ...args) => redis.call(command, ...args) as Promise<RedisReply>,
    subscribe: async (channel, onMessage) => {
      redis.on("message", (from: string, message: string) => {
        if (from === channel) onMessage(message);
      });
      await redis.subscribe(channel);
    },
    onClose: (task) => {
      closers.push(task);
    },
    close,
    get isOpen() {
      return isOpen;
    },
  };
}

/** ioredis's own timeout covers only the TCP connection, not the commands after it. */
function connectWithin(redis: Redis, waitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new FailureError("no-answer", `connecting timed out after ${waitMs} ms`));
    }, waitMs);
    void redis
      .connect()
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer);
      });
  });
}

function linkErrorOf(address: RedisAddress, cause: unknown): LinkError {
  const text = errorText(cause);
  const place = `${address.host}:${address.port}`;
  return new LinkError(text, failureKindOf(cause), { address: place, cause });
}
