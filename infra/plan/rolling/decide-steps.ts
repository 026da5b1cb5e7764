// decide-steps.ts: decides which steps of a rolling change may begin now, from the needs of the nodes and the view. Pure.
//
//   needs, view, steps under way ──▶ steps that may begin, and why the others wait
//
// It is called again after every change of the view and keeps no state: an applier that was killed, or one on another host,
// continues from the current state. Its result is valid for one view only. An applier also holds the partition's lock while
// a step runs, because two appliers may read the same view.
import { compareNames } from "../../../runtime/core/natural-order.ts";
import { isNewerVersion } from "../../../runtime/core/server-versions.ts";
import type { NodeView, PartitionView, View } from "../../../runtime/core/view.ts";
import { takesNode, type NodeNeed } from "./node-needs.ts";

export interface RollingNode {
  readonly name: string;
  readonly partition: number;
  readonly need: NodeNeed;
}

export interface RollingInput {
  /** null: no majority of the status nodes answered. */
  readonly view: Pick<View, "partitions" | "nodes" | "restore" | "cut"> | null;
  /** Data nodes that this applier changes, with their needs. */
  readonly nodes: readonly RollingNode[];
  /** Names of nodes that appliers on other hosts are about to stop: they go first if the order requires it. */
  readonly pendingElsewhere: ReadonlySet<string>;
  /** Nodes with a running step. */
  readonly busy: ReadonlySet<string>;
  /** Partitions in which another applier has the lock. */
  readonly locked: ReadonlySet<number>;
  readonly partitionsAtOnce: number;
  /** A master for which no other node can take over is restarted anyway. */
  readonly isForced: boolean;
}

export type RollingStep =
  /** No node is taken out of service. */
  | { readonly kind: "start" | "set"; readonly node: string; readonly partition: number }
  /** The node is master: one of `candidates`, the best first, becomes master before any other step. */
  | {
      readonly kind: "hand-over";
      readonly node: string;
      readonly partition: number;
      readonly candidates: readonly string[];
    }
  | { readonly kind: "aof" | "restart"; readonly node: string; readonly partition: number };

export interface RollingWait {
  readonly node: string;
  readonly why: string;
  /** An applier on another host comes first; waiting for it has no time limit. */
  readonly isTurn: boolean;
}

export interface RollingDecision {
  readonly steps: readonly RollingStep[];
  readonly waits: readonly RollingWait[];
}

/** Whether the step needs the partition's lock. */
export function needsLock(step: RollingStep): boolean {
  return step.kind !== "start" && step.kind !== "set";
}

/**
 * 1. Nodes that do not run are started, and settings that Redis can change are set, at once and in any order: no partition
 *    loses a node by that.
 * 2. All other steps stop one node of a partition at a time, and only when rule 3 holds. At most `partitionsAtOnce`
 *    partitions at once.
 * 3. The partition has a master, no failover or handover is running, and each other node of it is in sync. No restore or
 *    cut is running.
 * 4. In a partition the replicas go from the last to the first, then the master. A node that an applier on another host is
 *    about to stop has its place in this order.
 * 5. Before a master itself is changed, it hands over: to a node that needs no more steps, rather than to one that does.
 */
export function decideSteps(input: RollingInput): RollingDecision {
  const { nodes, busy, view } = input;
  const due = nodes.filter(({ name }) => !busy.has(name));
  const steps: RollingStep[] = due.flatMap(({ name, partition, need }) =>
    need.kind === "start" || need.kind === "set"
      ? [{ kind: need.kind, node: name, partition }]
      : [],
  );
  const taking = due.filter(({ need }) => takesNode(need));
  const waits: RollingWait[] = [];
  const busyPartitions = new Set(
    nodes.filter(({ name }) => busy.has(name)).map(({ partition }) => partition),
  );
  let free = input.partitionsAtOnce - busyPartitions.size;
  for (const partition of [...new Set(taking.map((node) => node.partition))].sort(byNumber)) {
    const group = taking.filter((node) => node.partition === partition);
    const wait = (why: string, isTurn = false): void => {
      waits.push(...group.map(({ name }) => ({ node: name, why, isTurn })));
    };
    const seen = view?.partitions.find(({ index }) => index === partition);
    if (view === null) wait("no majority of the status nodes answers");
    else if (busyPartitions.has(partition))
      wait(`another node of partition ${partition} is changed`);
    else if (input.locked.has(partition)) {
      wait(`another host changes a node of partition ${partition}`, true);
    } else if (seen === undefined) wait(`partition ${partition} is not in the view yet`);
    else {
      const next = nextOf(group, seen, view, input);
      if ("why" in next) wait(next.why, next.isTurn);
      else if (free <= 0) wait("other partitions come first");
      else {
        free -= 1;
        steps.push(next);
        const rest = group.filter(({ name }) => name !== next.node);
        waits.push(
          ...rest.map(({ name }) => ({
            node: name,
            why: `${next.node} comes first`,
            isTurn: false,
          })),
        );
      }
    }
  }
  return { steps, waits };
}

function byNumber(a: number, b: number): number {
  return a - b;
}

/** The next step of this partition, or why there is none now. */
function nextOf(
  group: readonly RollingNode[],
  partition: PartitionView,
  view: Pick<View, "nodes" | "restore" | "cut">,
  input: RollingInput,
): RollingStep | Pick<RollingWait, "why" | "isTurn"> {
  const unfit = unfitBecause(partition, view);
  if (unfit !== undefined) return { why: unfit, isTurn: false };
  const others = (name: string): NodeView[] => othersOf(name, partition.index, view.nodes);
  const order = inOrder(
    [...group.map(({ name }) => name), ...elsewhereIn(partition, view, input)],
    partition.master,
  );
  const [first = ""] = order;
  const node = group.find(({ name }) => name === first);
  if (node === undefined) return { why: `${first} on another host comes first`, isTurn: true };
  const lacking = others(first).filter(({ role, inSync }) => role === "dead" || !inSync);
  const [bad] = lacking;
  if (bad !== undefined) {
    const state = bad.role === "dead" ? "dead" : "not in sync";
    const why = `${bad.name} is ${state}: two nodes of partition ${partition.index} would be away at once`;
    return { why, isTurn: false };
  }
  const kind = node.need.kind === "aof" ? "aof" : "restart";
  if (partition.master !== first) return { kind, node: first, partition: partition.index };
  const able = others(first).filter(({ role }) => role === "replica");
  const candidates = candidatesOf(able, new Set(order));
  if (candidates.length > 0) {
    return { kind: "hand-over", node: first, partition: partition.index, candidates };
  }
  // Switching the append only file stops no node; a fork on the only node is slow at worst.
  if (kind === "aof" || input.isForced) return { kind, node: first, partition: partition.index };
  const why = `${first} is master of partition ${partition.index}, and no other node can take over`;
  return { why, isTurn: false };
}

/** A replica must not be older than its master, so a node that is newer than another remaining one is no candidate. */
function candidatesOf(able: readonly NodeView[], pending: ReadonlySet<string>): string[] {
  return able
    .filter((one) => !able.some((other) => isNewerVersion(one.version, other.version)))
    .map(({ name }) => name)
    .sort((a, b) => Number(pending.has(a)) - Number(pending.has(b)) || compareNames(a, b));
}

function unfitBecause(
  { index, master, failover, handover, promoting }: PartitionView,
  { restore, cut }: Pick<View, "restore" | "cut">,
): string | undefined {
  if ((restore ?? null) !== null) return "a restore is under way";
  if ((cut ?? null) !== null) return "a backup takes its cut";
  if (master === null) return `partition ${index} has no master`;
  const isMoving = [failover, handover, promoting].some((state) => (state ?? null) !== null);
  return isMoving ? `partition ${index} changes its master` : undefined;
}

/** Without retiring nodes: the alpha itself waits for those. */
export function othersOf(name: string, partition: number, nodes: readonly NodeView[]): NodeView[] {
  return nodes.filter(
    (node) =>
      node.kind === "data" &&
      node.partition === partition &&
      node.name !== name &&
      node.retiring !== true,
  );
}

function elsewhereIn(
  { index }: PartitionView,
  { nodes }: Pick<View, "nodes">,
  { pendingElsewhere }: RollingInput,
): string[] {
  return nodes
    .filter(({ name, partition }) => partition === index && pendingElsewhere.has(name))
    .map(({ name }) => name);
}

/** Replicas from the last to the first, then the master: so a partition needs at most one handover. */
export function inOrder(names: readonly string[], master: string | null): string[] {
  const unique = [...new Set(names)];
  return unique.sort((a, b) => Number(a === master) - Number(b === master) || compareNames(b, a));
}
