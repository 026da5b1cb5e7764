// adopt-conf.ts: when a changed twine.conf becomes the cluster's. Pure.
// One edited file on one host must not change the cluster: a majority of the monitors must hold the same text, and the
// alpha itself must, because it takes the nodes from its own copy.
import { majorityOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { hashingClash } from "../../core/hashing.ts";
import type { NodeView, View } from "../../core/view.ts";
import { newNodeView, nodesInViewOrder } from "./first-view.ts";
import type { Peer } from "./observations.ts";
import { isSamePlace, leavingNodes, nodesWhileRetiring } from "./retire.ts";

export interface ConfInput {
  readonly view: View;
  readonly config: ClusterConfig;
  /** Digest of `config`. */
  readonly digest: string;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly wallTime: string;
}

export type ConfDecision =
  | { readonly kind: "same" }
  | { readonly kind: "waits"; readonly why: string }
  | { readonly kind: "refused"; readonly why: string }
  /** Under way: `view` has the new data nodes, and those that leave flagged. The same view when nothing changes. `why`:
      what those that leave wait for. */
  | { readonly kind: "retiring"; readonly view: View; readonly why: string }
  | { readonly kind: "adopted"; readonly view: View };

/**
 * 1. The view already has it: nothing to do, unless it was changed back before another change was complete: then those
 *    that were leaving stay, and those that had come in leave.
 * 2. Partitions, hash or hash tag differ: refused, keys would be looked for where they are not.
 * 3. It drops or moves a node that was last master of a partition without one: refused, the data would go with it.
 * 4. Fewer than a majority of the monitors hold it: wait.
 * 5. Data nodes leave: retire.ts sees them off, and the new ones come in meanwhile.
 * 6. Adopt: nodes that stayed keep their role, new ones begin dead, others leave the view.
 */
export function adoptConf(input: ConfInput): ConfDecision {
  const { view, config, digest } = input;
  if (view.confDigest === digest) return changedBack(input);
  const clash = hashingClash(view, config);
  if (clash !== undefined) return { kind: "refused", why: clash };
  const leaving = leavingNodes(view, config);
  const lost = view.partitions
    // Without a master the last one may hold what nobody else does.
    .filter(({ master }) => master === null)
    .flatMap(({ lastMaster, promoting }) => [lastMaster, promoting ?? null])
    .find((name) => leaving.some((node) => node.name === name));
  if (lost !== undefined && lost !== null) {
    const why = `${lost} was last master of its partition, which has none now, and the new twine.conf drops or moves it; let the partition have a master first`;
    return { kind: "refused", why };
  }
  const holders = 1 + [...input.peers.values()].filter((peer) => peer.confDigest === digest).length;
  const needed = majorityOf(nodesOf(config, "monitor").length);
  if (holders < needed) {
    const why = `${holders} of the ${needed} monitors needed hold the new twine.conf`;
    return { kind: "waits", why };
  }
  if (leaving.length > 0) {
    return retiring(view, nodesWhileRetiring(view, config, input.wallTime));
  }
  const nodes = nodesInViewOrder(config).map(
    (node) => view.nodes.find((old) => isSamePlace(old, node)) ?? newNodeView(node, input.wallTime),
  );
  return { kind: "adopted", view: { ...view, confDigest: digest, nodes } };
}

function changedBack({ view, config, wallTime }: ConfInput): ConfDecision {
  const nodes = nodesWhileRetiring(view, config, wallTime);
  const isSettled = nodes === view.nodes && leavingNodes(view, config).length === 0;
  return isSettled ? { kind: "same" } : retiring(view, nodes);
}

function retiring(view: View, nodes: readonly NodeView[]): ConfDecision {
  return { kind: "retiring", view: nodes === view.nodes ? view : { ...view, nodes }, why: "" };
}

/**
 * Why a monitor with this configuration must not lead a cluster that was led by `view`, or undefined.
 * Status nodes may change by one between two views: majorities of the old and of the new set then share a node. Two
 * disjoint majorities, after a replacement for instance, could each choose a view of their own.
 */
export function leadClash(view: View, config: ClusterConfig): string | undefined {
  const places = (nodes: readonly Pick<NodeView, "kind" | "name" | "host" | "port">[]): string[] =>
    nodes
      .filter(({ kind }) => kind === "status")
      .map(({ name, host, port }) => `${name} ${host}:${port}`);
  const before = places(view.nodes);
  const now = places(config.nodes);
  const gone = before.filter((place) => !now.includes(place));
  const come = now.filter((place) => !before.includes(place));
  if (gone.length + come.length <= 1) return hashingClash(view, config);
  return (
    `the status nodes were ${before.join(", ")} and the new twine.conf says ${now.join(", ")}: ` +
    `add or remove one at a time, with a restart of the monitors between`
  );
}
