// guarded-routing.ts: the routing of one twine.conf, only for the views that match it. With another function or another
// number of partitions than the keys are placed by, every read would find nothing and every write would hide a key. So
// nothing is routed by a view that differs, and the mismatch has the reason.
import type { ClusterConfig } from "../core/cluster.ts";
import { hashingMismatch } from "../core/hashing.ts";
import { builtinRouting, type Routing, type RoutingSource } from "../core/routing.ts";
import { CLUSTER_REMEDY, clusterMismatch } from "../core/same-cluster.ts";
import type { FingerprintedPartitioner } from "../ports/partitioner.ts";

/** The partitioner of `config`. The caller closes it. */
export function guardedRouting(
  config: ClusterConfig,
  partitioner: FingerprintedPartitioner,
): RoutingSource {
  const routing = routingOf(config, partitioner);
  // A process that has once matched the cluster follows it through all later changes.
  let isOurs = false;
  return {
    of: (view) => {
      if (view === undefined) return routing;
      const foreign = isOurs ? undefined : clusterMismatch(view, config);
      if (foreign !== undefined) {
        return { mismatch: `${foreign}; ${CLUSTER_REMEDY}`, isForeign: true };
      }
      isOurs = true;
      const mismatch = hashingMismatch(view, partitioner.hashing);
      return mismatch === undefined ? routing : { mismatch, isForeign: false };
    },
  };
}

/** The routing of a twine.conf and its partitioner. */
export function routingOf(config: ClusterConfig, partitioner: FingerprintedPartitioner): Routing {
  const { hash, partitions, hashTag } = config.settings;
  if (hash.kind === "builtin") {
    const { name, distribution } = hash;
    return builtinRouting({ hash: name, partitions, hashTag, distribution });
  }
  return {
    partitions,
    hashTag,
    partitionOf: (key) => partitioner.partitionOf(key),
    partitionOfRange: undefined,
  };
}
