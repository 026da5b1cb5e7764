// retire.ts: how a data node leaves the cluster after its line has left twine.conf. Pure.
//
//   retiring (flagged in the view) --master: hand over--> replica --detach--> detached --the others caught up--> gone
//
// Why not at once: a master takes its data with it; and an acknowledged write may lie on the master and on this replica
// alone, so it counts among its partition's replicas until those that stay have everything that it may have acknowledged.
// The new nodes of the same edit come first: they may be the ones that take over.
import { nodesOf, type ClusterConfig, type ClusterNode } from "../../core/cluster.ts";
import { compareNames } from "../../core/natural-order.ts";
import type { NodeView, PartitionView, View } from "../../core/view.ts";
import { newNodeView, nodesInViewOrder } from "./first-view.ts";
import { choose } from "./handover-wish.ts";
import { isDetached } from "./info.ts";
import type { Standing } from "./standing.ts";

/** One node's way out. */
export interface RetireMark {
  /** The INFO that first showed it detached was asked for then. */
  readonly detachedAtMs: number;
  /** The master's offset sampled later than that; null until then. */
  readonly targetOffset: number | null;
}

/** By node name; the alpha's memory. A successor starts over, which costs a moment. */
export type RetireMarks = ReadonlyMap<string, RetireMark>;

/** Data nodes of the view that twine.conf no longer has, or has somewhere else. */
export function leavingNodes(view: View, config: ClusterConfig): NodeView[] {
  const data = nodesOf(config, "data");
  return view.nodes.filter(
    (old) => old.kind === "data" && !data.some((node) => isSamePlace(old, node)),
  );
}

/** Whether a line of twine.conf still means the node that the view knows. */
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
 * The view's nodes while some are leaving: these are flagged, and the data nodes that are new in twine.conf are added,
 * but for one whose name is still taken by a leaving one. The same array when nothing changes.
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
  /** Its data nodes as they will be in the next view. */
  readonly nodes: readonly NodeView[];
  readonly standings: ReadonlyMap<string, Standing>;
  readonly marks: RetireMarks;
  readonly nowMs: number;
  readonly freshMs: number;
  readonly ackReplicas: number;
}

export interface RetireDecision {
  /** The node that is to take over from a retiring master. */
  readonly wish: string | undefined;
  /** Those that leave the view now. */
  readonly gone: readonly string[];
  readonly marks: RetireMarks;
  /** What the others wait for; empty when nobody does. */
  readonly why: string;
}

/**
 * One partition's retiring nodes.
 * 1. Nobody retires: nothing to do.
 * 2. No master: they stay, they may hold what nobody else does.
 * 3. The master retires: it hands over to the first node that stays and can take over.
 * 4. The others leave one after the other, as hasLeft says.
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
 * Whether a retiring node may leave its partition's replicas; also keeps its mark.
 * 1. It is dead for certain, or says that it follows nobody: it acknowledges nothing more. Otherwise wait.
 * 2. The master's offset is sampled after that.
 * 3. Every node that stays and answers has reached it, and of those at least as many as must hold a write.
 */
function hasLeft(
  node: NodeView,
  staying: readonly NodeView[],
  input: RetireInput,
  marks: Map<string, RetireMark>,
): boolean {
  const { partition, standings, nowMs, ackReplicas } = input;
  const standing = standings.get(node.name) ?? { kind: "unknown" };
  const isDead = standing.kind === "down" && (standing.isRefused || ackReplicas === 0);
  const isOff = standing.kind === "up" && isDetached(standing.info);
  if (!isDead && !isOff) {
    marks.delete(node.name);
    return false;
  }
  const sinceMs = standing.kind === "up" ? standing.askedAtMs : nowMs;
  const mark = marks.get(node.name) ?? { detachedAtMs: sinceMs, targetOffset: null };
  const master = standings.get(partition.master ?? "");
  const isSampled = master?.kind === "up" && master.askedAtMs > mark.detachedAtMs;
  const targetOffset = mark.targetOffset ?? (isSampled ? master.info.offset : null);
  marks.set(node.name, { ...mark, targetOffset });
  if (targetOffset === null) return false;
  const replicas = staying.filter(({ name }) => name !== partition.master);
  const answering = replicas.flatMap(({ name }) => {
    const own = standings.get(name);
    return own?.kind === "up" ? [own.info] : [];
  });
  const caughtUp = answering.filter(
    (info) => info.replicationId === partition.replicationId && info.offset >= targetOffset,
  );
  return caughtUp.length === answering.length && caughtUp.length >= ackReplicas;
}
