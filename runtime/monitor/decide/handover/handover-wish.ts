// handover-wish.ts: decides whether a planned change of master is possible, and which node takes over. Pure.
// Clients are delayed while an attempt lasts. So everything that can be known is checked here first, and a refusal names
// every node with its reason.
import type { HandoverRequest, PromoteToRequest, Request } from "../../../core/request.ts";
import type { NodeView, PartitionView, View } from "../../../core/view.ts";
import type { NodeHealth } from "../nodes/node-health.ts";
import { refusalText } from "../nodes/node-troubles.ts";
import { isNewerVersion } from "../../../core/server-versions.ts";

/** The input for judging a handover. */
export interface WishInput {
  readonly view: View;
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly nowMs: number;
  /** A replica with an older INFO must answer again before a handover to it. */
  readonly freshMs: number;
}

export type WishVerdict =
  | { readonly kind: "done" | "refused"; readonly message: string }
  /** `to` is to become master of the partition. */
  | { readonly kind: "pursue"; readonly partition: number; readonly to: string }
  /** Another change is under way in the partition: judge again when it has ended. */
  | { readonly kind: "wait" };

/**
 * 1. No such data node: refused.
 * 2. The view already shows the requested state: done.
 * 3. Its partition has no master: wait if one is promoted or looked for; otherwise there is nothing to hand over.
 * 4. A handover is under way, this one or another: wait.
 * 5. The master does not answer: refused.
 * 6. The requested node; for a node that is about to stop, the first other node that can take over.
 */
export function judgeHandover(
  body: HandoverRequest | PromoteToRequest,
  input: WishInput,
): WishVerdict {
  const { view, nodeHealth } = input;
  const { node: name, kind } = body;
  const node = view.nodes.find((candidate) => candidate.name === name);
  const partition = view.partitions.find(({ index }) => index === node?.partition);
  if (node === undefined || partition === undefined) {
    return refused(`the cluster has no data node ${name}`);
  }
  const { index, master } = partition;
  if (master === null) return withoutMaster(body, partition);
  if (kind === "promote-to" && master === name)
    return done(`${name} is master of partition ${index}`);
  if (kind === "handover" && master !== name) {
    return done(`${name} is no master; ${master} is master of partition ${index}`);
  }
  if ((partition.handover ?? null) !== null) return { kind: "wait" };
  if (nodeHealth.get(master)?.kind !== "up") {
    return refused(`${master}, master of partition ${index}, does not answer this moment`);
  }
  const candidates = kind === "promote-to" ? [node] : othersOf(partition, view.nodes);
  return choose(candidates, partition, input);
}

function withoutMaster(
  { kind, node }: HandoverRequest | PromoteToRequest,
  { index, promoting, handover, needs }: PartitionView,
): WishVerdict {
  const isOnItsWay = (promoting ?? handover ?? null) !== null;
  if (isOnItsWay) return { kind: "wait" };
  if (kind === "handover") {
    return done(`${node} is no master; partition ${index} has none`);
  }
  if (needs === null) return { kind: "wait" };
  return refused(
    `partition ${index} has no master that could hand over to ${node}; it needs: ${needs}`,
  );
}

function othersOf({ index, master }: PartitionView, nodes: readonly NodeView[]): NodeView[] {
  return nodes.filter(({ name, partition }) => partition === index && name !== master);
}

/**
 * The node to which the alpha hands over without a request.
 * 1. The master answers but accepts no writes, or no clients: another node that does. Not when its memory is full: the
 *    replicas hold the same data under the same limit.
 * 2. A failover had to choose a newer version than a replica's: a node with an older version.
 * Never a node with a newer version than another replica's.
 */
export function ownWish(
  partition: PartitionView,
  nodes: readonly NodeView[],
  input: Pick<WishInput, "nodeHealth" | "nowMs" | "freshMs">,
): string | undefined {
  const health = input.nodeHealth.get(partition.master ?? "");
  if (health?.kind !== "up") return undefined;
  const { refusal, version } = health.info;
  const isRefusing = refusal !== undefined && refusal.kind !== "memory";
  if (!isRefusing && partition.handsBack !== true) return undefined;
  const others = othersOf(partition, nodes);
  const candidates = others.filter(
    (node) =>
      !others.some((other) => isNewerVersion(node.version, other.version)) &&
      (isRefusing || isNewerVersion(version, node.version)),
  );
  const verdict = choose(candidates, partition, input);
  return verdict.kind === "pursue" ? verdict.to : undefined;
}

/** The first node that can take over; preferably of a version that is not newer than another candidate's. */
export function choose(
  candidates: readonly NodeView[],
  partition: PartitionView,
  input: Pick<WishInput, "nodeHealth" | "nowMs" | "freshMs">,
): WishVerdict {
  const { index } = partition;
  const reasons: string[] = [];
  const isNewer = ({ version }: NodeView): boolean =>
    candidates.some((other) => isNewerVersion(version, other.version));
  const inOrder = [
    ...candidates.filter((node) => !isNewer(node)),
    ...candidates.filter((node) => isNewer(node)),
  ];
  for (const node of inOrder) {
    const why = unfitness(node, partition, input.nodeHealth);
    if (why === undefined) {
      // An old report proves little. A newer one arrives soon, or the node becomes suspect.
      if (!isFresh(node, input)) return { kind: "wait" };
      return { kind: "pursue", partition: index, to: node.name };
    }
    reasons.push(`${node.name} ${why}`);
  }
  const list = reasons.length === 0 ? "it has no other data node" : reasons.join("; ");
  return refused(`no replica of partition ${index} can take over: ${list}`);
}

function isFresh(
  { name }: NodeView,
  { nodeHealth, nowMs, freshMs }: Pick<WishInput, "nodeHealth" | "nowMs" | "freshMs">,
): boolean {
  const health = nodeHealth.get(name);
  return health?.kind === "up" && nowMs - health.askedAtMs <= freshMs;
}

function unfitness(
  node: NodeView,
  partition: PartitionView,
  nodeHealth: ReadonlyMap<string, NodeHealth>,
): string | undefined {
  const health = nodeHealth.get(node.name) ?? { kind: "unknown" };
  if (node.retiring === true) return "is leaving the cluster";
  if (health.kind === "down") return "is dead";
  if (health.kind === "suspect") return "does not answer";
  if (health.kind === "up" && health.info.isLoading) return "is loading its data";
  if (health.kind === "up" && health.info.refusal !== undefined) {
    return refusalText(node, health.info.refusal).text;
  }
  if (node.role !== "replica") return `is not a replica of ${partition.master ?? "its master"} yet`;
  if (!node.inSync) return `is behind ${partition.master ?? "its master"}`;
  return undefined;
}

export interface HandoverRequests {
  /** partition -> the node that is to become its master. */
  readonly wishes: ReadonlyMap<number, string>;
  readonly answers: readonly Request[];
}

/** Judges every handover request. Of two in one partition the first counts; the other waits. */
export function decideHandoverRequests(
  requests: readonly Request[],
  input: WishInput,
): HandoverRequests {
  const wishes = new Map<number, string>();
  const answers: Request[] = [];
  for (const request of requests) {
    const { body, state } = request;
    if (state !== "asked" || (body.kind !== "handover" && body.kind !== "promote-to")) continue;
    const verdict = judgeHandover(body, input);
    if (verdict.kind === "done" || verdict.kind === "refused") {
      answers.push({ ...request, state: verdict.kind, message: verdict.message });
    } else if (verdict.kind === "pursue" && !wishes.has(verdict.partition)) {
      wishes.set(verdict.partition, verdict.to);
    }
  }
  return { wishes, answers };
}

/** Refusals of the requests for a handover in a partition where one has just failed. `failed`: partition -> why. */
export function refusedAfterFailure(
  requests: readonly Request[],
  view: View,
  failed: ReadonlyMap<number, string>,
): Request[] {
  return requests.flatMap((request): Request[] => {
    const { body, state } = request;
    if (state !== "asked" || (body.kind !== "handover" && body.kind !== "promote-to")) return [];
    const partition = view.nodes.find(({ name }) => name === body.node)?.partition ?? -1;
    const why = failed.get(partition);
    if (why === undefined) return [];
    return [{ ...request, state: "refused", message: `the handover was taken back: ${why}` }];
  });
}

function done(message: string): WishVerdict {
  return { kind: "done", message };
}

function refused(message: string): WishVerdict {
  return { kind: "refused", message };
}
