// unused-settings.ts: warns about settings that only Twine's own monitors and routers implement, where twemproxy or
// Sentinel runs instead. Pure.
import type { ClusterConfig } from "../cluster.ts";
import type { Problem, SourceAt } from "../errors.ts";

/** A CONF_NOT_USED for each such line. `places`: the location of each directive. */
export function unusedSettings(
  config: ClusterConfig,
  places: ReadonlyMap<string, SourceAt>,
): Problem[] {
  const { router, failover } = config.settings;
  return [
    ...(router === "twemproxy" ? OF_ROUTERS : []).map((name) => ({ name, by: "router twemproxy" })),
    ...(failover === "sentinel" ? OF_MONITORS : []).map((name) => ({
      name,
      by: "failover sentinel",
    })),
  ].flatMap(({ name, by }) => {
    const at = places.get(name);
    if (at === undefined) return [];
    return {
      code: "CONF_NOT_USED",
      message: `${name} has no effect with ${by}`,
      at,
      remedy: "remove the line",
    };
  });
}

const OF_ROUTERS: readonly string[] = [
  ...["read-from", "hold-for", "hold-bytes", "retry-unknown", "workers", "max-clients"],
  ...["command-bytes", "command-args", "output-bytes", "output-bytes-total", "tcp-keepalive"],
  ...["idle-timeout", "drain-for", "users-file", "tls-cert", "tls-key", "tls-ca"],
  ...["tls-auth-clients", "tls-plain", "tls-nodes"],
];

const OF_MONITORS: readonly string[] = [
  ...["lease", "backup-every", "backup-keep", "backup-compress", "backup-key", "backup-dir"],
  ...["http-hosts", "http-token", "alert-after"],
];
