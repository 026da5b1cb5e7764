// requests.ts: what the alpha does with what tools ask of it. Pure.
//   asked -> refused              it can't be done as things are
//   asked -> (pursued) -> done    the view shows it
// Nothing is remembered: whether a request is done can be read from the view, so it outlives an alpha.
import type { Request } from "../../core/request.ts";
import type { Rescue, View } from "../../core/view.ts";
import type { Standing } from "./standing.ts";

export interface RequestDecision {
  /** partition -> the node that is to be its master whatever the others held. */
  readonly acceptLoss: ReadonlyMap<number, string>;
  /** Nodes whose saved data a person has seen to. */
  readonly seenRescues: ReadonlySet<string>;
  readonly answers: readonly Request[];
}

export function decideRequests(
  requests: readonly Request[],
  view: View,
  standings: ReadonlyMap<string, Standing>,
): RequestDecision {
  const acceptLoss = new Map<number, string>();
  const seenRescues = new Set<string>();
  const answers: Request[] = [];
  for (const request of requests) {
    if (request.state !== "asked") continue;
    const { kind } = request.body;
    // Handovers have rules of their own: handover-wish.ts.
    if (kind === "handover" || kind === "promote-to") continue;
    if (!isServed(kind)) {
      // Whoever asks stops the node at once instead of waiting for an answer that never comes.
      const message = `this monitor does not serve ${kind as string}`;
      answers.push({ ...request, state: "refused", message });
      continue;
    }
    const { node } = request.body;
    const isRescue = kind === "forget-rescue";
    const verdict = isRescue
      ? judgeForgetRescue(node, view)
      : judgeAcceptLoss(node, view, standings);
    if (verdict.kind !== "pursue") {
      answers.push({ ...request, state: verdict.kind, message: verdict.message });
    } else if (isRescue) seenRescues.add(node);
    else acceptLoss.set(verdict.partition, node);
  }
  return { acceptLoss, seenRescues, answers };
}

/** A tool of a later version may ask for what this one does not know. */
function isServed(kind: string): boolean {
  return kind === "accept-loss" || kind === "forget-rescue";
}

type Verdict =
  | { readonly kind: "done" | "refused"; readonly message: string }
  | { readonly kind: "pursue"; readonly partition: number };

/**
 * 1. No such data node: refused.
 * 2. It is its partition's master: done.
 * 3. Another one is: refused, there is no loss to accept.
 * 4. It can't serve now: refused with the reason; the operator may ask again.
 * 5. Pursue.
 */
function judgeAcceptLoss(
  name: string,
  view: View,
  standings: ReadonlyMap<string, Standing>,
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
  const standing = standings.get(name);
  if (standing?.kind !== "up") return refused(`${name} does not answer: start it first`);
  if (standing.info.isLoading) return refused(`${name} is loading its data: ask again when it has`);
  if (!standing.info.isDiskWell)
    return refused(`${name} can't write to its disk: its last save failed`);
  return { kind: "pursue", partition: partition.index };
}

/**
 * 1. No such data node: refused.
 * 2. No rescue is told of it: done, whoever did it.
 * 3. Nothing was saved, the node itself keeps the data: refused, for it must not be forgotten.
 * 4. Pursue.
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
        : `the rescue of ${name} is told of no more; ${whatStays([...earlierRescues, rescue])}`;
    return { kind: "done", message };
  }
  if (rescue.kind === "kept") {
    return refused(
      `what ${name} had of its own could not be saved, and ${name} still keeps it: see twine-status for what to do`,
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
