// adopt-conf.ts: when a changed twine.conf becomes the cluster's. Pure.
// One edited file on one host must not change the cluster: a majority of the monitors must hold the same text, and the
// alpha itself must, because it takes the nodes from its own copy.
import { majorityOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { hashingClash } from "../../core/hashing.ts";
import type { NodeView, View } from "../../core/view.ts";
import { newNodeView, nodesInViewOrder } from "./first-view.ts";
import type { Peer } from "./observations.ts";

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
  | { readonly kind: "adopted"; readonly view: View };

/**
 * 1. The view already has it: nothing to do.
 * 2. Partitions, hash or hash tag differ: refused, keys would be looked for where they are not.
 * 3. It drops or moves a node that is master: refused, the data would go with it.
 * 4. Fewer than a majority of the monitors hold it: wait.
 * 5. Adopt: nodes that stayed keep their role, new ones begin dead, others leave the view.
 */
export function adoptConf(input: ConfInput): ConfDecision {
  const { view, config, digest } = input;
  if (view.confDigest === digest) return { kind: "same" };
  const clash = hashingClash(view, config);
  if (clash !== undefined) return { kind: "refused", why: clash };
  const nodes = nodesInViewOrder(config).map(
    (node) => view.nodes.find((old) => isSame(old, node)) ?? newNodeView(node, input.wallTime),
  );
  const lost = view.partitions
    // Without a master the last one may hold what nobody else does.
    .flatMap(({ master, lastMaster, promoting }) => [master ?? lastMaster, promoting ?? null])
    .find(
      (name) =>
        name !== null && !nodes.some((node) => node.name === name && view.nodes.includes(node)),
    );
  if (lost !== undefined && lost !== null) {
    const why = `${lost} is, or was last, master and the new twine.conf drops or moves it; make another node master first`;
    return { kind: "refused", why };
  }
  const holders = 1 + [...input.peers.values()].filter((peer) => peer.confDigest === digest).length;
  const needed = majorityOf(nodesOf(config, "monitor").length);
  if (holders < needed) {
    const why = `${holders} of the ${needed} monitors needed hold the new twine.conf`;
    return { kind: "waits", why };
  }
  return { kind: "adopted", view: { ...view, confDigest: digest, nodes } };
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

function isSame(old: NodeView, node: ReturnType<typeof nodesInViewOrder>[number]): boolean {
  const fresh = newNodeView(node, old.since);
  return (
    old.name === fresh.name &&
    old.kind === fresh.kind &&
    old.host === fresh.host &&
    old.port === fresh.port &&
    old.db === fresh.db &&
    old.partition === fresh.partition
  );
}
