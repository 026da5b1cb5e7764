// guarded-routing.ts: the routing of one twine.conf, only for the views that match it. With another function or another
// number of partitions than the keys are placed by, every read would find nothing and every write would hide a key. So
// nothing is routed by a view that differs, and the mismatch has the reason.
// A resharding is the exception: a process whose twine.conf is from before it routes by the function that the view names.
import type { ClusterConfig } from "../core/cluster.ts";
import { describeHashing, hashingMismatch, type Hashing } from "../core/hashing.ts";
import { followsHashing, provenSettings } from "../core/reshard.ts";
import {
  builtinRouting,
  isMismatch,
  type Routing,
  type RoutingMismatch,
  type RoutingSource,
} from "../core/routing.ts";
import { CLUSTER_REMEDY, clusterMismatch } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import type { FingerprintedPartitioner } from "../ports/partitioner.ts";

/** The partitioner of `config`. The caller closes it. */
export function guardedRouting(
  config: ClusterConfig,
  partitioner: FingerprintedPartitioner,
): RoutingSource {
  // Not a routing of its own: nothing is placed anew when a resharding begins.
  let isMoving = false;
  const readsNeedConfirmation = (): boolean => isMoving;
  const routing = { ...routingOf(config, partitioner), readsNeedConfirmation };
  const resharded = new ReshardedRouting(readsNeedConfirmation);
  // A process that has once matched the cluster follows it through all later changes.
  let isOurs = false;
  const found = (view: View): Routing | RoutingMismatch => {
    const mismatch = hashingMismatch(view, partitioner.hashing);
    if (mismatch === undefined) return routing;
    const { hashing } = view;
    if (hashing === undefined || !followsHashing(view, partitioner.hashing)) {
      return { mismatch, isForeign: false };
    }
    return resharded.of(hashing);
  };
  return {
    of: (view) => {
      if (view === undefined) return routing;
      const foreign = isOurs ? undefined : clusterMismatch(view, config);
      if (foreign !== undefined) {
        return { mismatch: `${foreign}; ${CLUSTER_REMEDY}`, isForeign: true };
      }
      isOurs = true;
      isMoving = (view.reshard ?? null) !== null;
      return found(view);
    },
  };
}

/** The routing that a view names. One object for one hashing. */
class ReshardedRouting {
  readonly #readsNeedConfirmation: () => boolean;
  #key = "";
  #found: Routing | RoutingMismatch | undefined;

  constructor(readsNeedConfirmation: () => boolean) {
    this.#readsNeedConfirmation = readsNeedConfirmation;
  }

  of(hashing: Hashing): Routing | RoutingMismatch {
    const key = describeHashing(hashing) + hashing.name;
    if (this.#found === undefined || key !== this.#key) {
      const found = routingBy(hashing);
      const readsNeedConfirmation = this.#readsNeedConfirmation;
      this.#found = isMismatch(found) ? found : { ...found, readsNeedConfirmation };
    }
    this.#key = key;
    return this.#found;
  }
}

function routingBy(hashing: Hashing): Routing | RoutingMismatch {
  const settings = provenSettings(hashing);
  if (settings?.hash.kind !== "builtin") {
    const mismatch = `the keys are placed by ${describeHashing(hashing)} since a resharding, which this version does not know`;
    return { mismatch, isForeign: false };
  }
  const { hash, partitions, hashTag } = settings;
  const { name, distribution } = hash;
  return builtinRouting({ hash: name, partitions, hashTag, distribution });
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
