// process-shape.ts: the part of twine.conf that a running process reads only at its start, as one text to compare. Pure.
// A monitor or router reads the rest again at SIGHUP (see monitor.ts and router/rules/reload.ts), and a redis-server gets
// it by CONFIG SET.
import { nodesOf, type ClusterConfig } from "../../../runtime/core/cluster.ts";
import type { PlannedService } from "../plan.ts";

export function processShape(config: ClusterConfig, service: PlannedService): string {
  const { kind, ports, bind } = service;
  const place = { ports, bind };
  if (kind === "data" || kind === "status") return JSON.stringify(place);
  const { cluster, leaseMs, workers, tlsNodes } = config.settings;
  const statusNodes = nodesOf(config, "status").map(
    ({ name, host, port, db }) => `${name} ${host}:${port}/${db}`,
  );
  const common = { ...place, command: service.command, cluster, statusNodes };
  return JSON.stringify(kind === "monitor" ? common : { ...common, leaseMs, workers, tlsNodes });
}
