// guarded-view.ts: the view for routers and clients. With another hash or another number of partitions than the keys are
// placed by, every read would find nothing and every write would hide a key. So a view that does not match this
// twine.conf is shown without masters, and another cluster's view is not shown at all. `mismatch` has the reason.
import type { ClusterConfig } from "../core/cluster.ts";
import { hashingMismatch, type Hashing } from "../core/hashing.ts";
import { followsHashing } from "../core/reshard.ts";
import { CLUSTER_REMEDY, clusterMismatch } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import type { ViewSource } from "./view-source.ts";

export interface GuardedView extends ViewSource {
  /** Why this twine.conf can't be used for routing; undefined if it can. */
  mismatch(): string | undefined;
}

/** `hashing`: of the function with which the caller routes. */
export function guardedView(
  source: ViewSource,
  config: ClusterConfig,
  hashing: Hashing,
): GuardedView {
  let judged: View | undefined;
  let mismatch: string | undefined;
  let shown: View | undefined;
  let isOurs = false;
  // Checked once per view, because every command calls this.
  const judge = (): void => {
    const view = source.current();
    if (view === judged) return;
    judged = view;
    shown = undefined;
    mismatch = undefined;
    if (view === undefined) return;
    const other = isOurs ? undefined : clusterMismatch(view, config);
    isOurs = other === undefined;
    // A twine.conf from before a resharding is this cluster's own.
    const differs = followsHashing(view, hashing) ? undefined : hashingMismatch(view, hashing);
    mismatch = other === undefined ? differs : `${other}; ${CLUSTER_REMEDY}`;
    if (isOurs) shown = mismatch === undefined ? view : withoutMasters(view);
  };
  return {
    current: () => {
      judge();
      return shown;
    },
    mismatch: () => {
      judge();
      return mismatch;
    },
    isConfirmed: () => source.isConfirmed(),
    onChange: (task) => source.onChange(task),
    close: () => source.close(),
  };
}

function withoutMasters(view: View): View {
  return { ...view, partitions: view.partitions.map((part) => ({ ...part, master: null })) };
}
