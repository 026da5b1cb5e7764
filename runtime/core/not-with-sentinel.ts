// not-with-sentinel.ts: the error of Twine's tools in a cluster where Redis Sentinel and twemproxy do their work. Pure.
import type { ClusterConfig } from "./cluster.ts";
import { nodesOf } from "./cluster.ts";
import { TwineError } from "./errors.ts";
import { masterName, sentinelsOf } from "./sentinel-nodes.ts";

export function notWithSentinel(what: string, instead: string): TwineError {
  return new TwineError({
    code: "NOT_WITH_SENTINEL",
    message: `${what} works with Twine's own monitors, and twine.conf says failover sentinel`,
    remedy: instead,
  });
}

/** Throws NOT_WITH_SENTINEL if Sentinel watches this cluster. `instead`: the command that does the work there. */
export function requireTwinesMonitors(config: ClusterConfig, what: string, instead: string): void {
  if (config.settings.failover === "sentinel") throw notWithSentinel(what, instead);
}

/** The command that starts a failover there. */
export function sentinelFailoverCommand(config: ClusterConfig, partition = 0): string {
  const [sentinel] = sentinelsOf(config);
  return `redis-cli -h ${sentinel?.host ?? "HOST"} -p ${sentinel?.port ?? 26_379} SENTINEL FAILOVER ${masterName(partition)}`;
}

/** The command that reaches the whole cluster there. */
export function proxyCommand(config: ClusterConfig): string {
  const [router] = nodesOf(config, "router");
  if (router === undefined) return "add a router line; then redis-cli on its port";
  return `redis-cli -h ${router.host} -p ${router.port}`;
}
