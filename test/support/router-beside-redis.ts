// router-beside-redis.ts: a router over three redis-servers and one bare redis-server, for tests that say the same to both.
import { beforeAll } from "vitest";
import { cleanUpAfterAll } from "./clean-up.ts";
import { startRedis, type TestRedis } from "./redis-server.ts";
import { RawClient, startRouterCluster, type RouterCluster } from "./router-cluster.ts";

export interface RouterBesideRedis {
  readonly cluster: RouterCluster;
  /** The bare one. */
  readonly plain: TestRedis;
  /** A raw connection to each. */
  both(): Promise<readonly [router: RawClient, redis: RawClient]>;
}

/**
 * Both are started before the first test of the group that calls this, serve all of its tests, and end after the last.
 * `redis`: lines of redis.conf for every redis-server; `settings`: lines of twine.conf.
 */
export function routerBesideRedis(
  options: { readonly redis?: readonly string[]; readonly settings?: readonly string[] } = {},
): RouterBesideRedis {
  const { redis = [], settings = ["hash-tag {}"] } = options;
  const cleanUp = cleanUpAfterAll();
  let started: { readonly cluster: RouterCluster; readonly plain: TestRedis } | undefined;
  beforeAll(async () => {
    started = {
      cluster: await startRouterCluster({ settings, redis, cleanUp }),
      plain: await startRedis(redis, cleanUp),
    };
  });
  const there = (): NonNullable<typeof started> => {
    if (started === undefined) throw new Error("a router beside Redis is there in tests alone");
    return started;
  };
  return {
    get cluster() {
      return there().cluster;
    },
    get plain() {
      return there().plain;
    },
    both: async () => [await there().cluster.client(), await RawClient.open(there().plain.port)],
  };
}
