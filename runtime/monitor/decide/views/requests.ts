// requests.ts: the alpha's answers to requests of tools. Pure.
//   asked -> refused              it is not possible now
//   asked -> (pursued) -> done    the view shows it
// No memory is needed: the view shows whether a request is done, so a new alpha can continue it.
import type { Request } from "../../../core/request.ts";
import type { NodeView, Rescue, View } from "../../../core/view.ts";
import { isForeign } from "../nodes/info.ts";
import type { NodeHealth } from "../nodes/node-health.ts";

export interface RequestDecision {
  /** partition -> the node that is to become master without regard to the data of the others. */
  readonly acceptLoss: ReadonlyMap<number, string>;
  /** Nodes whose rescued data an operator has handled. */
  readonly seenRescues: ReadonlySet<string>;
  readonly answers: readonly Request[];
}

export function decideRequests(
  requests: readonly Request[],
  view: View,
  nodeHealth: ReadonlyMap<string, NodeHealth>,
): RequestDecision {
  const acceptLoss = new Map<number, string>();
  const seenRescues = new Set<string>();
  const answers: Request[] = [];
  for (const request of requests) {
    if (request.state !== "asked") continue;
    const { kind } = request.body;
    // handover-wish.ts, restore.ts, cut.ts, follow.ts and reshard.ts answer these.
    if (kind === "handover" || kind === "promote-to") continue;
    if (kind === "restore" || kind === "cut" || kind === "follow" || kind === "reshard") continue;
    if (!isServed(kind)) {
      // A refusal lets the tool stop the node at once, instead of waiting for an answer that never arrives.
      const message = `this monitor does not serve ${kind as string}`;
      answers.push({ ...request, state: "refused", message });
      continue;
    }
    const { node } = request.body;
    const isRescue = kind === "forget-rescue";
    const verdict = isRescue
      ? judgeForgetRescue(node, view)
      : judgeAcceptLoss(node, view, nodeHealth);
    if (verdict.kind !== "pursue") {
      answers.push({ ...request, state: verdict.kind, message: verdict.message });
    } else if (isRescue) seenRescues.add(node);
    else acceptLoss.set(verdict.partition, node);
  }
  return { acceptLoss, seenRescues, answers };
}

/** A tool of a later version may send a request that this version does not know. */
function isServed(kind: string): boolean {
  return kind === "accept-loss" || kind === "forget-rescue";
}

type Verdict =
  | { readonly kind: "done" | "refused"; readonly message: string }
  | { readonly kind: "pursue"; readonly partition: number };

/**
 * 1. No such data node: refused.
 * 2. It is its partition's master: done.
 * 3. Another node is master: refused, there is no loss to accept.
 * 4. It can't serve now: refused with the reason; the operator may ask again.
 * 5. A full sync has emptied it, and another node that answers holds keys: refused, because that node loses less.
 * 6. Otherwise pursue.
 */
function judgeAcceptLoss(
  name: string,
  view: View,
  nodeHealth: ReadonlyMap<string, NodeHealth>,
): Verdict {
  const node = view.nodes.find((candidate) => candidate.name === name);
  const partition = view.partitions.find(({ index }) => index === node?.partition);
  if (partition === undefined) return refused(`the cluster has no data node ${name}`);
  if (partition.master === name) {
    return { kind: "done", message: `${name} is master of partition ${partition.index}` };
  }
  if (partition.master !== null) {
    return refused(
      `partition ${partition.index} has a master, ${partition.master}: there is no loss to accept`,
    );
  }
  const { following } = partition;
  if (following !== undefined && following !== null) {
    const { host, port } = following;
    return refused(
      `partition ${partition.index} follows ${host}:${port}: if that one is lost, twine-follow --switch --old-is-gone`,
    );
  }
  const dataNodes = view.nodes.filter(({ kind }) => kind === "data");
  const health = nodeHealth.get(name);
  if (health?.kind !== "up") return refused(`${name} does not answer: start it first`);
  if (health.info.isLoading)
    return refused(`${name} is loading its data: try again when it has finished`);
  if (!health.info.isDiskWell)
    return refused(`${name} can't write to its disk: its last save failed`);
  if (isForeign(health.info, dataNodes) && health.info.isLinkUp) {
    const { host, port } = health.info.following ?? { host: "", port: 0 };
    return refused(
      `${name} follows ${host}:${port}, which is no node of this cluster: send it REPLICAOF 127.0.0.1 1 first`,
    );
  }
  if (health.info.isEmptied) {
    const fuller = fullestOf(partition.index, dataNodes, nodeHealth);
    if (fuller !== undefined && fuller.name !== name) {
      return refused(
        `a full sync that broke off has emptied ${name}, and ${fuller.name} holds ${fuller.keys} keys: accept the loss with ${fuller.name}`,
      );
    }
  }
  return { kind: "pursue", partition: partition.index };
}

/** The node of a partition that answers, was not emptied, and holds the most keys; undefined when no such node has keys. */
function fullestOf(
  partition: number,
  dataNodes: readonly NodeView[],
  nodeHealth: ReadonlyMap<string, NodeHealth>,
): { readonly name: string; readonly keys: number } | undefined {
  const holders = dataNodes.flatMap(({ name, partition: own }) => {
    const health = nodeHealth.get(name);
    if (own !== partition || health?.kind !== "up" || health.info.isEmptied) return [];
    return health.info.keys === 0 ? [] : [{ name, keys: health.info.keys }];
  });
  return holders.toSorted((a, b) => b.keys - a.keys)[0];
}

/**
 * 1. No such data node: refused.
 * 2. No rescue of it is shown: already done.
 * 3. Nothing was saved, and the node itself keeps the data: refused, because the data must not be forgotten.
 * 4. Otherwise pursue.
 */
function judgeForgetRescue(name: string, view: View): Verdict {
  const node = view.nodes.find((candidate) => candidate.name === name);
  if (node === undefined || node.partition === null) {
    return refused(`the cluster has no data node ${name}`);
  }
  const { rescue, earlierRescues = [] } = node;
  if (rescue === undefined || rescue.isSeen === true) {
    const message =
      rescue === undefined
        ? `nothing was rescued from ${name}`
        : `the rescue of ${name} is no longer shown; ${whatStays([...earlierRescues, rescue])}`;
    return { kind: "done", message };
  }
  if (rescue.kind === "kept") {
    return refused(
      `the writes that only ${name} holds could not be saved, and it still keeps them: see twine-status for the remedy`,
    );
  }
  return { kind: "pursue", partition: node.partition };
}

function whatStays(rescues: readonly Rescue[]): string {
  const places = rescues.map(({ place }) => place ?? "").join(", ");
  return rescues.length === 1 ? `the file stays at ${places}` : `the files stay at ${places}`;
}

function refused(message: string): Verdict {
  return { kind: "refused", message };
}
