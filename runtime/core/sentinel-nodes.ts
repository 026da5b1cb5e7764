// sentinel-nodes.ts: the nodes that speak the Sentinel protocol, and the master names that they use. Pure.
// Twine's monitors and Redis Sentinels use the same names, so clients need no change between the two.
import { nodesOf, type ClusterConfig, type ClusterNode } from "./cluster.ts";

const PARTITION_MASTER = "twine-p";

/** twine-p0 is the master of partition 0. */
export function masterName(partition: number): string {
  return `${PARTITION_MASTER}${partition}`;
}

/** The port on which a node speaks the Sentinel protocol; undefined if it does not. */
export function sentinelPortOf(config: ClusterConfig, node: ClusterNode): number | undefined {
  if (node.kind !== "monitor") return undefined;
  return config.settings.failover === "sentinel" ? node.port : node.sentinelPort;
}

/** The nodes that report, in the Sentinel protocol, which node is master. */
export function sentinelsOf(
  config: ClusterConfig,
): { readonly name: string; readonly host: string; readonly port: number }[] {
  return nodesOf(config, "monitor").flatMap((node) => {
    const port = sentinelPortOf(config, node);
    return port === undefined ? [] : [{ name: node.name, host: node.host, port }];
  });
}
