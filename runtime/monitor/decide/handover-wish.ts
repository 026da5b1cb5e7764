// handover-wish.ts: whether a planned change of master is possible, and which node is to take over. Pure.
// Refusing is cheap and trying is not: clients wait while an attempt lasts. So everything that can be known beforehand is
// checked here, and the refusal names every node with its reason.
import type { HandoverRequest, PromoteToRequest, Request } from "../../core/request.ts";
import type { NodeView, PartitionView, View } from "../../core/view.ts";
import type { Standing } from "./standing.ts";

/** What can be told of every partition when a wish is judged. */
export interface WishInput {
  readonly view: View;
  readonly standings: ReadonlyMap<string, Standing>;
  readonly nowMs: number;
  /** A replica whose last word is older is waited for before it is trusted with a handover. */
  readonly freshMs: number;
}

export type WishVerdict =
  | { readonly kind: "done" | "refused"; readonly message: string }
  /** `to` is to become master of the partition. */
  | { readonly kind: "pursue"; readonly partition: number; readonly to: string }
  /** Something is under way there: judged again when it has ended. */
  | { readonly kind: "wait" };

/**
 * 1. No such data node: refused.
 * 2. The view shows already what was asked for: done.
 * 3. Its partition has no master, and one is on its way or looked for: wait; otherwise there is nothing to hand over.
 * 4. A handover is under way: it is this one, or this one waits for its end.
 * 5. The master does not answer: refused.
 * 6. The node asked for, or for a node that is about to stop the first of the others, that can take over.
 */
export function judgeHandover(
  body: HandoverRequest | PromoteToRequest,
  input: WishInput,
): WishVerdict {
  const { view, standings } = input;
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
  if (standings.get(master)?.kind !== "up") {
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

/** The first that can; the alpha prefers the first node as master wherever it may choose. */
export function choose(
  candidates: readonly NodeView[],
  partition: PartitionView,
  input: Pick<WishInput, "standings" | "nowMs" | "freshMs">,
): WishVerdict {
  const { index } = partition;
  const reasons: string[] = [];
  for (const node of candidates) {
    const why = unfitness(node, partition, input.standings);
    if (why === undefined) {
      // An old word of it proves little; a newer one comes soon, or it is suspect.
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
  { standings, nowMs, freshMs }: Pick<WishInput, "standings" | "nowMs" | "freshMs">,
): boolean {
  const standing = standings.get(name);
  return standing?.kind === "up" && nowMs - standing.askedAtMs <= freshMs;
}

function unfitness(
  node: NodeView,
  partition: PartitionView,
  standings: ReadonlyMap<string, Standing>,
): string | undefined {
  const standing = standings.get(node.name) ?? { kind: "unknown" };
  if (node.retiring === true) return "is leaving the cluster";
  if (standing.kind === "down") return "is dead";
  if (standing.kind === "suspect") return "does not answer";
  if (standing.kind === "up" && standing.info.isLoading) return "is loading its data";
  if (standing.kind === "up" && !standing.info.isDiskWell) return "can't write to its disk";
  if (node.role !== "replica") return `is not a replica of ${partition.master ?? "its master"} yet`;
  if (!node.inSync) return `is behind ${partition.master ?? "its master"}`;
  return undefined;
}

export interface HandoverRequests {
  /** partition -> the node that is to be its master. */
  readonly wishes: ReadonlyMap<number, string>;
  readonly answers: readonly Request[];
}

/** Judges every request that asks for a handover. Of two in one partition the first counts, the other waits. */
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

/** Answers to whoever waited for a handover in a partition where one has just failed. `failed`: partition -> why. */
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
