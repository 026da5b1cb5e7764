// other-nodes.ts: the roles of status nodes, monitors and routers. Pure.
import type { NodeView, View } from "../../../core/view.ts";
import { without } from "../../../core/without.ts";
import type { Observations } from "./observations.ts";

/** Status nodes, monitors and routers are up or dead; without an observation the role stays. */
export function otherNode(
  node: NodeView,
  observed: Pick<Observations, "others">,
  wallTime: string,
): NodeView {
  const isUp = observed.others.get(node.name);
  const role = isUp === undefined ? node.role : isUp ? "up" : "dead";
  if (role === node.role) return node;
  return { ...node, role, inSync: role === "up", since: wallTime };
}

/** Marks a monitor with another twine.conf than the adopted one; while its digest is unknown the mark stays. */
export function withOtherConf(
  node: NodeView,
  { digest, observed }: { readonly digest: string; readonly observed: Pick<Observations, "peers"> },
  base: Pick<View, "alpha" | "confDigest">,
): NodeView {
  if (node.kind !== "monitor") return node;
  const own = node.name === base.alpha ? digest : observed.peers.get(node.name)?.confDigest;
  if (node.role !== "dead" && own === undefined) return node;
  const isOther = node.role !== "dead" && own !== base.confDigest;
  if (isOther === (node.otherConf === true)) return node;
  return isOther ? { ...node, otherConf: true } : without(node, "otherConf");
}
