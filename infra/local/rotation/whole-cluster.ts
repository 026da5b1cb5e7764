// whole-cluster.ts: whether twine.conf names every data node of the running cluster: one that it does not name would keep the
// old password, and would refuse everybody after the rotation. Pure.
import { nodesOf, type ClusterConfig } from "../../../runtime/core/cluster.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { View } from "../../../runtime/core/view.ts";

/** Throws ROTATION_RESHARD and ROTATION_OTHER_NODES. */
export function requireWholeCluster(
  view: Pick<View, "nodes" | "reshard">,
  config: ClusterConfig,
): void {
  if ((view.reshard ?? null) !== null) {
    throw new TwineError({
      code: "ROTATION_RESHARD",
      message:
        "the cluster is being resharded, or its way back is kept: nodes that twine.conf does not name would keep the old password",
      remedy: "wait until twine-reshard has ended, replace twine.conf, run twine-apply, then this",
    });
  }
  const named = new Set(nodesOf(config, "data").map(({ name }) => name));
  const others = view.nodes.filter(({ kind, name }) => kind === "data" && !named.has(name));
  if (others.length === 0) return;
  const names = others.map(({ name }) => name).join(", ");
  throw new TwineError({
    code: "ROTATION_OTHER_NODES",
    message: `${config.file} does not name ${names} of the running cluster, which would keep the old password`,
    remedy: "give this machine the cluster's present twine.conf, run twine-apply, then this",
  });
}
