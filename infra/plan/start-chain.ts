// start-chain.ts: in containers, the services that each service waits for before it is created or replaced. Pure.
//
//   s1 -> s2 -> s3 -> m1 -> m2 -> m3 -> a3 -> a2 -> a1 -> r1 -> r2
//                                   \-> b3 -> b2 -> b1 -/
//
// A data node is healthy once it has its role, which monitors give, so monitors come before data nodes; and they need the
// status nodes. With `failover sentinel` there are none, and a data node has its role from its own redis.conf, so Sentinels
// come after the data nodes: a Sentinel that does not find the first masters would make others master. Within a partition the order is from the last node to the first, one at a time, because this order can't
// know the roles and the alpha prefers the first node as master. Two status nodes or two monitors are never down at once
// either: a majority of each stays.
import { nodesOf, type ClusterConfig, type ClusterNode } from "../../runtime/core/cluster.ts";

/** Service name -> the names that it waits for. Every service is a key. */
export function startChain(config: ClusterConfig): ReadonlyMap<string, readonly string[]> {
  const after = new Map<string, readonly string[]>();
  const queue = (nodes: readonly ClusterNode[], first: readonly string[]): readonly string[] => {
    let before = first;
    for (const node of nodes) {
      after.set(node.name, before);
      before = [node.name];
    }
    return before;
  };
  const isSentinel = config.settings.failover === "sentinel";
  const monitors = nodesOf(config, "monitor");
  const statusUp = queue(nodesOf(config, "status"), []);
  const monitorsUp = isSentinel ? [] : queue(monitors, statusUp);
  const data = nodesOf(config, "data");
  const partitions = [...new Set(data.map((node) => node.partition))].sort((a, b) => a - b);
  const dataUp = partitions.flatMap((partition) =>
    queue(data.filter((node) => node.partition === partition).reverse(), monitorsUp),
  );
  queue(nodesOf(config, "router"), isSentinel ? queue(monitors, dataUp) : dataUp);
  return after;
}
