// adopt-conf.ts: decides when a changed twine.conf is adopted by the cluster. Pure.
// One edited file on one host must not change the cluster: a majority of the monitors must have the same text. The alpha
// must have it too, because it takes the nodes from its own copy.
import { majorityOf, nodesOf, type ClusterConfig } from "../../../core/cluster.ts";
import { builtinHashing, hashingMismatch, type Hashing } from "../../../core/hashing.ts";
import { followsHashing } from "../../../core/reshard.ts";
import type { NodeView, View } from "../../../core/view.ts";
import { newNodeView, nodesInViewOrder } from "./first-view.ts";
import type { Peer } from "../nodes/observations.ts";
import { isSamePlace, leavingNodes, nodesWhileRetiring } from "../handover/retire.ts";

export interface ConfInput {
  readonly view: View;
  readonly config: ClusterConfig;
  /** Digest of `config`. */
  readonly digest: string;
  /** The hashing that `config` names; absent: a built-in one. */
  readonly hashing?: Hashing;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly wallTime: string;
}

export type ConfDecision =
  | { readonly kind: "same" }
  | { readonly kind: "waits"; readonly why: string }
  | { readonly kind: "refused"; readonly why: string }
  /** Under way: `view` has the new data nodes, and the retiring ones flagged; the same view when nothing changes. `why`:
      what the retiring nodes wait for. */
  | { readonly kind: "retiring"; readonly view: View; readonly why: string }
  | { readonly kind: "adopted"; readonly view: View };

/**
 * 1. The view already has it: nothing to do. But if it was changed back before another change was complete, the nodes that
 *    were retiring stay, and the nodes that had joined leave.
 * 2. Partitions, hash or hash tag differ: refused, because keys would be looked for in the wrong partitions.
 * 3. It drops or moves the last master of a partition that has no master: refused, because the data would go too.
 * 4. Fewer than a majority of the new file's monitors have it, or fewer than a majority of the view's running monitors:
 *    wait. With the new file's majority alone, a file that names one monitor would be adopted by that monitor.
 * 5. Data nodes were removed: retire.ts retires them, and the new ones join meanwhile.
 * 6. Adopt: nodes that stay keep their role, new ones start dead, others are removed from the view.
 */
export function adoptConf(input: ConfInput): ConfDecision {
  const { view, config, digest } = input;
  if (view.confDigest === digest) return changedBack(input);
  const hashing = input.hashing ?? builtinHashing(config.settings);
  const mismatch = hashingMismatch(view, hashing);
  if (mismatch !== undefined) return { kind: "refused", why: mismatch };
  const leaving = leavingNodes(view, config);
  const lost = view.partitions
    // Without a master, the last one may hold data that no other node has.
    .filter(({ master }) => master === null)
    .flatMap(({ lastMaster, promoting }) => [lastMaster, promoting ?? null])
    .find((name) => leaving.some((node) => node.name === name));
  if (lost !== undefined && lost !== null) {
    const why = `${lost} was last master of its partition, which has none now, and the new twine.conf drops or moves it; wait until the partition has a master, then change twine.conf`;
    return { kind: "refused", why };
  }
  const holders = 1 + [...input.peers.values()].filter((peer) => peer.confDigest === digest).length;
  const needed = majorityOf(nodesOf(config, "monitor").length);
  if (holders < needed) {
    const why = `${holders} monitors have the new twine.conf, and ${needed} must have it`;
    return { kind: "waits", why };
  }
  const present = presentMonitors(view);
  const agreeing = present.filter(
    (name) => name === view.alpha || input.peers.get(name)?.confDigest === digest,
  ).length;
  if (agreeing < majorityOf(present.length)) {
    const why =
      `${agreeing} of the ${present.length} monitors that run now hold the new twine.conf, ` +
      `and ${majorityOf(present.length)} must`;
    return { kind: "waits", why };
  }
  if (leaving.length > 0) {
    return retiring(view, nodesWhileRetiring(view, config, input.wallTime));
  }
  const nodes = nodesInViewOrder(config).map(
    (node) => view.nodes.find((old) => isSamePlace(old, node)) ?? newNodeView(node, input.wallTime),
  );
  return { kind: "adopted", view: { ...view, confDigest: digest, hashing, nodes } };
}

/** The alpha, and every other monitor of the view that is not known to be dead. */
function presentMonitors({ alpha, nodes }: View): string[] {
  const up = nodes.filter(({ kind, role }) => kind === "monitor" && role === "up");
  return [...new Set([alpha, ...up.map(({ name }) => name)])];
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
 * Why a monitor with this configuration must not lead a cluster that was led by `view`; undefined when it may.
 * Only one status node may change between two views: then majorities of the old and of the new set share a node. Two
 * disjoint majorities, for example after a replacement, could each choose a view of their own.
 */
export function leadConflict(
  view: View,
  config: ClusterConfig,
  hashing: Hashing = builtinHashing(config.settings),
): string | undefined {
  const places = (nodes: readonly Pick<NodeView, "kind" | "name" | "host" | "port">[]): string[] =>
    nodes
      .filter(({ kind }) => kind === "status")
      .map(({ name, host, port }) => `${name} ${host}:${port}`);
  const before = places(view.nodes);
  const now = places(config.nodes);
  const gone = before.filter((place) => !now.includes(place));
  const come = now.filter((place) => !before.includes(place));
  if (gone.length + come.length <= 1) {
    // A monitor with the twine.conf from before a resharding leads by the adopted one.
    return followsHashing(view, hashing) ? undefined : hashingMismatch(view, hashing);
  }
  return (
    `the status nodes were ${before.join(", ")} and the new twine.conf names ${now.join(", ")}: ` +
    `add or remove one at a time, with a restart of the monitors between`
  );
}
