// redis-link.ts: one connection to one redis-server as a port; ioredis behind it.
// A link never reconnects by itself: whoever holds it decides whether the broken thing is worth another.
import { Redis } from "ioredis";
import type { Credentials } from "../core/credentials.ts";
import { tlsTo, type LinkTls } from "./link-tls.ts";

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
  /** Sends one command; rejects with the server's error reply, or when the link breaks. Pipelines by itself. */
  call(command: string, ...args: (string | number)[]): Promise<RedisReply>;
  /** Receives messages of a channel; the link then serves nothing else. */
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  /** Runs once when the link broke or was closed. */
  onClose(task: (cause: Error) => void): void;
  close(): void;
  readonly isOpen: boolean;
}

export interface LinkOptions {
  readonly credentials?: Credentials | undefined;
  /** CLIENT SETNAME at connect. */
  readonly clientName?: string;
  /** For the whole of it, greeting included: a paused server accepts connections and says nothing. */
  readonly connectTimeoutMs: number;
  /** A command without a reply for this long rejects; the link stays. Absent: waits for ever. */
  readonly commandTimeoutMs?: number;
  /** Absent: the server is spoken to without TLS. */
  readonly tls?: LinkTls | undefined;
}

/** `refused`: the port answers nobody; `timeout`: nothing came back; `other`: the server or the name said no. */
export class LinkError extends Error {
  readonly kind: "refused" | "timeout" | "other";
  constructor(message: string, kind: "refused" | "timeout" | "other", cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "LinkError";
    this.kind = kind;
  }
}

/** Opens links. Production: `openRedisLink`; the simulation has its own. */
export type OpenLink = (address: RedisAddress, options: LinkOptions) => Promise<RedisLink>;

export const openRedisLink: OpenLink = async (address, options) => {
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
    ...(options.credentials ?? {}),
  });
  return openLink(redis, address, options.connectTimeoutMs);
};

/** How long a server may take to close its side before ours is torn down. */
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
    const cause = lastError ?? new Error(`connection to ${address.host}:${address.port} closed`);
    if (wasOpen) for (const closer of closers.splice(0)) closer(cause);
  });
  // ioredis would wait for the end of a stream that has already ended, and keep the process alive meanwhile.
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

/** ioredis bounds only the TCP connection by its own timeout, not the commands that follow it. */
function connectWithin(redis: Redis, waitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`connecting timed out after ${waitMs} ms`));
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
  const text = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const kind =
    code === "ECONNREFUSED"
      ? "refused"
      : code === "ETIMEDOUT" || /timed? ?out/i.test(text)
        ? "timeout"
        : "other";
  return new LinkError(`${address.host}:${address.port}: ${text}`, kind, cause);
}
