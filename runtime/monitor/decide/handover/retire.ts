// retire.ts: removes a data node from the cluster after its line was removed from twine.conf. Pure.
//
//   retiring (flagged in the view) --master: hand over--> replica --detach--> detached --the others caught up--> gone
//
// Why not at once: a master has the data. And an acknowledged write may be on the master and this replica only, so the
// node counts as a replica until the nodes that stay have everything that it may have acknowledged.
// New nodes of the same edit join first, because they may be the ones that take over.
import { nodesOf, type ClusterConfig, type ClusterNode } from "../../../core/cluster.ts";
import { compareNames } from "../../../core/natural-order.ts";
import type { NodeView, PartitionView, View } from "../../../core/view.ts";
import { newNodeView, nodesInViewOrder } from "../views/first-view.ts";
import { choose } from "./handover-wish.ts";
import { isDetached } from "../nodes/info.ts";
import type { NodeHealth } from "../nodes/node-health.ts";

/** The progress of one retiring node. */
export interface RetireMark {
  /** When the INFO that first showed it detached was asked for. */
  readonly detachedAtMs: number;
  /** The master's offset, sampled after that; null until then. */
  readonly targetOffset: number | null;
}

/** By node name; the alpha's memory. A new alpha starts again, which only costs a moment. */
export type RetireMarks = ReadonlyMap<string, RetireMark>;

/** Data nodes of the view that twine.conf does not have any more, or has at another place. */
export function leavingNodes(view: View, config: ClusterConfig): NodeView[] {
  const data = nodesOf(config, "data");
  return view.nodes.filter(
    (old) => old.kind === "data" && !data.some((node) => isSamePlace(old, node)),
  );
}

/** Whether a line of twine.conf means the same node as the view's. */
export function isSamePlace(old: NodeView, node: ClusterNode): boolean {
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

const KINDS: readonly NodeView["kind"][] = ["data", "status", "monitor", "router"];

/**
 * The view's nodes while some retire: those are flagged, and the new data nodes of twine.conf are added, except one whose
 * name still belongs to a retiring node. The same array when nothing changes.
 */
export function nodesWhileRetiring(
  view: View,
  config: ClusterConfig,
  wallTime: string,
): readonly NodeView[] {
  const leaving = new Set(leavingNodes(view, config).map(({ name }) => name));
  const added = nodesInViewOrder(config)
    .filter(({ kind, name }) => kind === "data" && !view.nodes.some((old) => old.name === name))
    .map((node) => newNodeView(node, wallTime));
  const isUnchanged =
    added.length === 0 &&
    view.nodes.every((node) => (node.retiring === true) === leaving.has(node.name));
  if (isUnchanged) return view.nodes;
  const kept = view.nodes.map((node) => withFlag(node, leaving.has(node.name)));
  return [...kept, ...added].sort(
    (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || compareNames(a.name, b.name),
  );
}

function withFlag(node: NodeView, isRetiring: boolean): NodeView {
  const { retiring, ...rest } = node;
  if ((retiring === true) === isRetiring) return node;
  return isRetiring ? { ...rest, retiring: true } : rest;
}

export interface RetireInput {
  readonly partition: PartitionView;
  /** The partition's data nodes in the next view. */
  readonly nodes: readonly NodeView[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly marks: RetireMarks;
  readonly nowMs: number;
  readonly freshMs: number;
  readonly ackReplicas: number;
}

export interface RetireDecision {
  /** The node that is to take over from a retiring master. */
  readonly wish: string | undefined;
  /** Nodes that leave the view now. */
  readonly gone: readonly string[];
  readonly marks: RetireMarks;
  /** What the retiring nodes wait for; empty when none waits. */
  readonly why: string;
}

/**
 * One partition's retiring nodes.
 * 1. No node retires: nothing to do.
 * 2. No master: they stay, because they may hold data that no other node has.
 * 3. The master retires: it hands over to the first node that stays and can take over.
 * 4. The other retiring nodes leave when hasLeft allows it.
 */
export function decideRetirement(input: RetireInput): RetireDecision {
  const { partition, nodes, marks } = input;
  const leaving = nodes.filter(({ retiring }) => retiring === true);
  const staying = nodes.filter(({ retiring }) => retiring !== true);
  const names = leaving.map(({ name }) => name).join(", ");
  const idle = { wish: undefined, gone: [], marks };
  if (leaving.length === 0) return { ...idle, why: "" };
  const { index, master } = partition;
  if (master === null) {
    return { ...idle, why: `${names} can't leave while partition ${index} has no master` };
  }
  if (leaving.some(({ name }) => name === master)) {
    const verdict = choose(staying, partition, input);
    if (verdict.kind === "pursue") {
      return { ...idle, wish: verdict.to, why: `${master} hands over to ${verdict.to}` };
    }
    const why = verdict.kind === "wait" ? `${master} is to hand over` : verdict.message;
    return { ...idle, why };
  }
  const nextMarks = new Map(marks);
  const gone = leaving.filter((node) => hasLeft(node, staying, input, nextMarks));
  for (const { name } of gone) nextMarks.delete(name);
  const left = leaving.filter((node) => !gone.includes(node)).map(({ name }) => name);
  const why =
    left.length === 0 ? "" : `${left.join(", ")} is being detached from partition ${index}`;
  return { wish: undefined, gone: gone.map(({ name }) => name), marks: nextMarks, why };
}

/**
 * Whether a retiring node may leave its partition's replicas; also updates its mark.
 * 1. It is certainly dead, or reports that it follows no master, so it acknowledges nothing more. Otherwise wait.
 * 2. Then the master's offset is sampled.
 * 3. Every staying replica that answers has reached that offset, and there are at least `ackReplicas` of them.
 */
function hasLeft(
  node: NodeView,
  staying: readonly NodeView[],
  input: RetireInput,
  marks: Map<string, RetireMark>,
): boolean {
  const { partition, nodeHealth, nowMs, ackReplicas } = input;
  const health = nodeHealth.get(node.name) ?? { kind: "unknown" };
  const isDead = health.kind === "down" && (health.isRefused || ackReplicas === 0);
  const isOff = health.kind === "up" && isDetached(health.info);
  if (!isDead && !isOff) {
    marks.delete(node.name);
    return false;
  }
  const sinceMs = health.kind === "up" ? health.askedAtMs : nowMs;
  const mark = marks.get(node.name) ?? { detachedAtMs: sinceMs, targetOffset: null };
  const master = nodeHealth.get(partition.master ?? "");
  const isSampled = master?.kind === "up" && master.askedAtMs > mark.detachedAtMs;
  const targetOffset = mark.targetOffset ?? (isSampled ? master.info.offset : null);
  marks.set(node.name, { ...mark, targetOffset });
  if (targetOffset === null) return false;
  const replicas = staying.filter(({ name }) => name !== partition.master);
  const answering = replicas.flatMap(({ name }) => {
    const own = nodeHealth.get(name);
    return own?.kind === "up" ? [own.info] : [];
  });
  const caughtUp = answering.filter(
    (info) => info.replicationId === partition.replicationId && info.offset >= targetOffset,
  );
  return caughtUp.length === answering.length && caughtUp.length >= ackReplicas;
}
