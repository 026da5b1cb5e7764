// ask.ts: is a service there, and what role has it? One short question on a connection of its own.
import { connect } from "node:net";
import { get } from "node:http";
import { Redis } from "ioredis";
import type { Credentials } from "../../runtime/core/credentials.ts";
import type { HealthCheck } from "../plan/plan.ts";

const ANSWER_WITHIN_MS = 2000;

export type RedisRole = "master" | "replica" | "loading";

/** What ROLE answers; undefined when nobody answers. A dead node says replica, of 127.0.0.1 port 1. */
export async function askRole(
  address: string,
  port: number,
  credentials: Credentials | undefined,
): Promise<RedisRole | undefined> {
  const said = await roleOrError(address, port, credentials);
  return said instanceof Error ? undefined : said;
}

/** Whether a node is there and lets nobody in with these credentials; false as well when nobody answers. */
export async function refusesLogin(
  address: string,
  port: number,
  credentials: Credentials | undefined,
): Promise<boolean> {
  const said = await roleOrError(address, port, credentials);
  return said instanceof Error && isLoginRefusal(said.message);
}

/** Redis's own words: a wrong user or password; none given; one given to a node that has none. */
export function isLoginRefusal(words: string): boolean {
  return /WRONGPASS|NOAUTH|without any password/.test(words);
}

async function roleOrError(
  address: string,
  port: number,
  credentials: Credentials | undefined,
): Promise<RedisRole | Error> {
  const redis = new Redis({
    host: address,
    port,
    lazyConnect: true,
    protocol: 2,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: ANSWER_WITHIN_MS,
    commandTimeout: ANSWER_WITHIN_MS,
    ...(credentials ?? {}),
  });
  let broken: Error | undefined;
  redis.on("error", (error: Error) => {
    broken ??= error;
  });
  try {
    await redis.connect();
    const role = (await redis.call("ROLE")) as readonly unknown[];
    if (await isLoadingStill(redis)) return "loading";
    return role[0] === "master" ? "master" : "replica";
  } catch (error) {
    const cause = broken ?? (error instanceof Error ? error : new Error(String(error)));
    // While it loads its data it answers little else: it is there all the same.
    const isLoading = [error, cause].some((each) => /^(\w*Error: )?LOADING/.test(String(each)));
    return isLoading ? "loading" : cause;
  } finally {
    redis.disconnect();
  }
}

/** ROLE is answered while data is loaded, and a dead node refuses PING for another reason; INFO answers always. */
async function isLoadingStill(redis: Redis): Promise<boolean> {
  return /^loading:1/m.test(await redis.info("persistence"));
}

/** Whether somebody takes a connection. */
export function takesConnection(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: ANSWER_WITHIN_MS });
    const end = (taken: boolean): void => {
      socket.destroy();
      resolve(taken);
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

/** Whether an HTTP server answers, whatever it answers. */
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

/** loading: it answers, but still reads its data, on which it may yet end. */
export type Presence = "up" | "loading" | "absent";

/** Whether the service is up. `credentials`: of the user that may ask ROLE. */
export async function askPresence(
  health: HealthCheck,
  address: string,
  credentials: Credentials | undefined,
): Promise<Presence> {
  switch (health.kind) {
    case "redis-role": {
      // Cheap first: most of the waiting is for the port to open.
      if (!(await takesConnection(address, health.port))) return "absent";
      const role = await askRole(address, health.port, credentials);
      if (role === undefined) return "absent";
      return role === "loading" ? "loading" : "up";
    }
    case "http":
      return (await answersHttp(address, health.port, health.path)) ? "up" : "absent";
    case "tcp":
      return (await takesConnection(address, health.port)) ? "up" : "absent";
    default:
      return health satisfies never;
  }
}
