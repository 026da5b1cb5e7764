// same-cluster.ts: whether the view on the status nodes belongs to the cluster that a twine.conf describes. Pure.
//
// The stamp on status nodes is the cluster's name, and most clusters keep the default name. So two clusters that use the
// same status nodes by mistake would be taken for one, and the alpha would adopt the other cluster's nodes as new ones.
// The data nodes distinguish them: a cluster changes node by node, so its present twine.conf and its next one share at
// least one data node at the same address. Only the first comparison counts: a process that has once matched the cluster
// follows all its later changes.
import { addressOf, nodesOf, type ClusterConfig } from "./cluster.ts";
import { TwineError } from "./errors.ts";
import type { View } from "./view.ts";

export const CLUSTER_REMEDY =
  "give it a name (`cluster NAME`) and status nodes of its own in twine.conf; " +
  "to move all data nodes of one cluster, edit twine.conf twice, so that each edit keeps a node of the one before";

/**
 * Why this twine.conf and the view are of different clusters: they share no data node by name, host and port. undefined
 * if they may be the same; also if either has no data node, as in a client's configuration.
 */
export function clusterMismatch(
  view: Pick<View, "cluster" | "nodes" | "resharded">,
  config: ClusterConfig,
): string | undefined {
  const wanted = nodesOf(config, "data");
  const present = view.nodes.filter(({ kind }) => kind === "data");
  if (wanted.length === 0 || present.length === 0) return undefined;
  const places = new Set(wanted.map(placeOf));
  // After a resharding every node is another one.
  const known = [...present, ...(view.resharded?.nodes ?? [])];
  if (known.some((node) => places.has(placeOf(node)))) return undefined;
  const shown = present.slice(0, 2).map(placeOf).join(", ");
  const more = present.length > 2 ? ` and ${present.length - 2} more` : "";
  return (
    `these status nodes belong to another cluster that is named "${view.cluster}" too: ` +
    `none of its data nodes (${shown}${more}) is in ${config.file}`
  );
}

/** For a tool that must not touch another cluster. Throws CLUSTER_DIFFERS. */
export function requireSameCluster(view: View | null | undefined, config: ClusterConfig): void {
  const mismatch = view === null || view === undefined ? undefined : clusterMismatch(view, config);
  if (mismatch === undefined) return;
  throw new TwineError({ code: "CLUSTER_DIFFERS", message: mismatch, remedy: CLUSTER_REMEDY });
}

function placeOf(node: { readonly name: string; readonly host: string; readonly port: number }) {
  return `${node.name} at ${addressOf(node.host)}:${node.port}`;
}
