// same-cluster.ts: whether the view on the status nodes is of the cluster that a twine.conf describes. Pure.
//
// The stamp on status nodes is the cluster's name, and most clusters never get one of their own. So two of them, pointed
// at the same status nodes by mistake, would take each other for one, and the one that leads would take the other's nodes
// for new ones of its own. Data nodes tell them apart: a cluster changes node by node, and its present and its next
// twine.conf share at least one, at the same address. Whoever has once been found to belong to the cluster follows it
// wherever it moves: only the first look is judged.
import { addressOf, nodesOf, type ClusterConfig } from "./cluster.ts";
import { TwineError } from "./errors.ts";
import type { View } from "./view.ts";

export const CLUSTER_REMEDY =
  "give it a name (`cluster NAME`) and status nodes of its own in twine.conf; " +
  "who moves all data nodes of one cluster does it in two edits, so that each shares a node with the one before";

/**
 * Why this twine.conf is another cluster's than the view, or undefined: they share no data node, by name, address and
 * port. A configuration that names none, as a client's may, has nothing to compare.
 */
export function clusterClash(
  view: Pick<View, "cluster" | "nodes">,
  config: ClusterConfig,
): string | undefined {
  const wanted = nodesOf(config, "data");
  const present = view.nodes.filter(({ kind }) => kind === "data");
  if (wanted.length === 0 || present.length === 0) return undefined;
  const places = new Set(wanted.map(placeOf));
  if (present.some((node) => places.has(placeOf(node)))) return undefined;
  const shown = present.slice(0, 2).map(placeOf).join(", ");
  const more = present.length > 2 ? ` and ${present.length - 2} more` : "";
  return (
    `these status nodes hold another cluster that is named "${view.cluster}" too: ` +
    `none of its data nodes (${shown}${more}) is in ${config.file}`
  );
}

/** For a tool that is to end rather than to touch another cluster. Throws CLUSTER_DIFFERS. */
export function requireSameCluster(view: View | null | undefined, config: ClusterConfig): void {
  const clash = view === null || view === undefined ? undefined : clusterClash(view, config);
  if (clash === undefined) return;
  throw new TwineError({ code: "CLUSTER_DIFFERS", message: clash, remedy: CLUSTER_REMEDY });
}

function placeOf(node: { readonly name: string; readonly host: string; readonly port: number }) {
  return `${node.name} at ${addressOf(node.host)}:${node.port}`;
}
