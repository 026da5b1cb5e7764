// ask.ts: does a service answer, and what is its role? Sends one short request on a new connection.
import { connect } from "node:net";
import { get } from "node:http";
import { Redis } from "ioredis";
import { otherCredentials, type Credentials, type Login } from "../../runtime/core/credentials.ts";
import { failureKindOf, failureKindOfWords } from "../../runtime/core/failure.ts";
import type { HealthCheck } from "../plan/plan.ts";

const ANSWER_WITHIN_MS = 2000;

/** loading: it reads its data. busy: it runs a script longer than busy-reply-threshold, and refuses all other commands. */
export type NodeAnswer =
  | { readonly kind: "role"; readonly role: "master" | "replica" }
  | { readonly kind: "loading" | "busy" }
  /** login: a wrong user or password. none: no connection, or no answer in time. */
  | { readonly kind: "login" | "none"; readonly why: string };

export type RedisRole = "master" | "replica" | "loading";

/** The reply of ROLE; undefined when there is no valid reply. A dead node reports itself as replica of 127.0.0.1 port 1. */
export async function askRole(
  address: string,
  port: number,
  credentials: Credentials | undefined,
): Promise<RedisRole | undefined> {
  return roleIn(await askNode(address, port, credentials));
}

export function roleIn(answer: NodeAnswer): RedisRole | undefined {
  if (answer.kind === "role") return answer.role;
  return answer.kind === "loading" ? "loading" : undefined;
}

/** Whether the node answers and refuses these credentials; also false when it does not answer. */
export async function refusesLogin(
  address: string,
  port: number,
  credentials: Credentials | undefined,
): Promise<boolean> {
  return (await askNode(address, port, credentials)).kind === "login";
}

export interface NodeAddress {
  readonly address: string;
  readonly port: number;
  readonly credentials: Login | undefined;
}

/**
 * Runs `task` over one connection to a node, which is tried once and closed at the end. Rejects with the error of `task`,
 * or with the connection's error. `answerMs`: the time limit of each reply; null: none.
 * While the password is being rotated, a second connection uses the other password when the first is refused.
 */
export async function withNode<T>(
  node: NodeAddress,
  task: (redis: Redis) => Promise<T>,
  answerMs: number | null = ANSWER_WITHIN_MS,
): Promise<T> {
  try {
    return await withNodeAs(node, task, answerMs);
  } catch (error) {
    const credentials = otherCredentials(node.credentials);
    if (credentials === undefined || failureKindOf(error) !== "login") throw error;
    return withNodeAs({ ...node, credentials }, task, answerMs);
  }
}

async function withNodeAs<T>(
  { address, port, credentials }: NodeAddress,
  task: (redis: Redis) => Promise<T>,
  answerMs: number | null,
): Promise<T> {
  const redis = new Redis({
    host: address,
    port,
    lazyConnect: true,
    protocol: 2,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: ANSWER_WITHIN_MS,
    ...(answerMs === null ? {} : { commandTimeout: answerMs }),
    ...(credentials ?? {}),
  });
  let broken: Error | undefined;
  redis.on("error", (error: Error) => {
    broken ??= error;
  });
  try {
    await redis.connect();
    return await task(redis);
  } catch (error) {
    // ioredis's rejection only says that the connection is closed; its event has the reason.
    throw broken ?? error;
  } finally {
    redis.disconnect();
  }
}

export async function askNode(
  address: string,
  port: number,
  credentials: Credentials | undefined,
): Promise<NodeAnswer> {
  try {
    return await withNode({ address, port, credentials }, async (redis): Promise<NodeAnswer> => {
      const role = (await redis.call("ROLE")) as readonly unknown[];
      if (await isLoadingStill(redis)) return { kind: "loading" };
      return { kind: "role", role: role[0] === "master" ? "master" : "replica" };
    });
  } catch (error) {
    return answerIn(textOf(error));
  }
}

/** Redis's error codes: a node that loads or runs a script refuses ROLE, but is there. */
function answerIn(why: string): NodeAnswer {
  const code = (name: string): boolean => new RegExp(`^(\\w*Error: )?${name} `).test(why);
  if (code("LOADING")) return { kind: "loading" };
  if (code("BUSY")) return { kind: "busy" };
  return { kind: failureKindOfWords(why) === "login" ? "login" : "none", why };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : "an error without a message";
}

/** ROLE works during loading, and a dead node refuses PING for another reason; only INFO always works. */
async function isLoadingStill(redis: Redis): Promise<boolean> {
  return /^loading:1/m.test(await redis.info("persistence"));
}

/** Whether something accepts a connection. */
export function acceptsConnection(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: ANSWER_WITHIN_MS });
    const end = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => {
      end(true);
    });
    socket.once("error", () => {
      end(false);
    });
    socket.once("timeout", () => {
      end(false);
    });
  });
}

/** Whether an HTTP server answers, with any status. */
function answersHttp(address: string, port: number, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: address, port, path, timeout: ANSWER_WITHIN_MS }, (response) => {
      response.resume();
      resolve(true);
    });
    request.once("error", () => {
      resolve(false);
    });
    request.once("timeout", () => {
      request.destroy();
    });
  });
}

/** loading: it answers, but still reads its data, and may exit if it can't. busy: it runs a long script. */
export type Presence = "up" | "loading" | "busy" | "absent";

/** Whether the service is up. `credentials`: of a user with the right to call ROLE. */
export async function askPresence(
  health: HealthCheck,
  address: string,
  credentials: Credentials | undefined,
): Promise<Presence> {
  switch (health.kind) {
    case "redis-role": {
      // The cheap check first: most of the time is spent until the port opens.
      if (!(await acceptsConnection(address, health.port))) return "absent";
      const { kind } = await askNode(address, health.port, credentials);
      if (kind === "none" || kind === "login") return "absent";
      return kind === "role" ? "up" : kind;
    }
    case "http":
      return (await answersHttp(address, health.port, health.path)) ? "up" : "absent";
    case "tcp":
      return (await acceptsConnection(address, health.port)) ? "up" : "absent";
    default:
      return health satisfies never;
  }
}
