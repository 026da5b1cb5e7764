// guarded-view.ts: the view as a router or a client may use it. By another hash or another number of partitions than the
// keys lie by, every read would find nothing and every write would hide a key; so a view that clashes with this
// twine.conf shows no master at all. Of another cluster's view nothing is shown. `clash` says why.
import type { ClusterConfig } from "../core/cluster.ts";
import { hashingClash } from "../core/hashing.ts";
import { CLUSTER_REMEDY, clusterClash } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import type { ViewSource } from "./view-source.ts";

export interface GuardedView extends ViewSource {
  /** Why nothing may be routed by this twine.conf, or undefined. */
  clash(): string | undefined;
}

export function guardedView(source: ViewSource, config: ClusterConfig): GuardedView {
  let judged: View | undefined;
  let clash: string | undefined;
  let shown: View | undefined;
  let isOurs = false;
  // Judged once for each view: every command asks.
  const judge = (): void => {
    const view = source.current();
    if (view === judged) return;
    judged = view;
    shown = undefined;
    clash = undefined;
    if (view === undefined) return;
    const other = isOurs ? undefined : clusterClash(view, config);
    isOurs = other === undefined;
    clash = other === undefined ? hashingClash(view, config) : `${other}; ${CLUSTER_REMEDY}`;
    if (isOurs) shown = clash === undefined ? view : withoutMasters(view);
  };
  return {
    current: () => {
      judge();
      return shown;
    },
    clash: () => {
      judge();
      return clash;
    },
    isConfirmed: () => source.isConfirmed(),
    onChange: (task) => source.onChange(task),
    close: () => source.close(),
  };
}

function withoutMasters(view: View): View {
  return { ...view, partitions: view.partitions.map((part) => ({ ...part, master: null })) };
}
