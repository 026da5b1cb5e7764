// cut.ts: a cut: the writes of all masters are paused for a moment, in which every partition's offset is sampled. Pure.
//
//   asked --every partition has a master, nothing moves--> in the view --the alpha paused, sampled, unpaused--> done
//     | else: refused                                          |
//                                                              | a master changed, another alpha leads, a master executed
//                                                              v writes between its two samples, or was paused by somebody
//                                                            void: refused, and the tool asks again
//
// There is one instant at which every master held exactly its sample (act/take-cut.ts). So if a write belongs to the cut,
// every write that its client had seen before belongs to it too.
// There is one cut at a time. The record in the view shows a new alpha that masters may be paused: it ends those pauses
// (actor.ts).
import type { Cut, CutMark } from "../../core/cut.ts";
import type { Request } from "../../core/request.ts";
import { isBeingSwitched } from "../../core/reshard.ts";
import type { CutView, PartitionView, View } from "../../core/view.ts";

/** The result of pausing and sampling. */
export type CutOutcome =
  | { readonly id: string; readonly kind: "sampled"; readonly cut: Cut }
  | { readonly id: string; readonly kind: "void"; readonly why: string };

export interface CutInput {
  readonly view: View;
  readonly requests: readonly Request[];
  /** Of the last cut that this alpha began. */
  readonly outcome: CutOutcome | undefined;
  readonly wallTime: string;
}

export interface CutDecision {
  /** The same object when nothing changes. */
  readonly view: View;
  readonly answers: readonly Request[];
}

export function decideCut({ view, requests, outcome, wallTime }: CutInput): CutDecision {
  const asked = requests.filter(({ body, state }) => body.kind === "cut" && state === "asked");
  const cut = view.cut ?? null;
  if (cut !== null) {
    const end = endOf(cut, view, outcome);
    if (end === undefined) return { view, answers: [] };
    // The request may have been withdrawn; then there is nothing to answer.
    const answers = asked.filter(({ id }) => id === cut.id).map((one) => ({ ...one, ...end }));
    return { view: { ...view, cut: null }, answers };
  }
  const [first] = asked;
  if (first?.body.kind !== "cut") return { view, answers: [] };
  const why = obstacleTo(view);
  if (why !== undefined) {
    return { view, answers: [{ ...first, state: "refused", message: why }] };
  }
  const begun: CutView = {
    id: first.id,
    purpose: "backup",
    by: first.body.by,
    since: wallTime,
    epoch: view.epoch,
    masters: view.partitions.map(({ master }) => master ?? ""),
  };
  return { view: { ...view, cut: begun }, answers: [] };
}

type End = Pick<Request, "state" | "message">;

/** undefined: the cut is still under way. */
function endOf(cut: CutView, view: View, outcome: CutOutcome | undefined): End | undefined {
  const ended = (why: string): End => ({ state: "refused", message: `the cut is void: ${why}` });
  if (cut.epoch !== view.epoch) return ended("another monitor has become alpha meanwhile");
  const changed = view.partitions.find(
    (partition, index) => partition.master !== cut.masters[index] || isMoving(partition),
  );
  if (changed !== undefined || cut.masters.length !== view.partitions.length) {
    return ended(`partition ${changed?.index ?? view.partitions.length} is getting another master`);
  }
  if (outcome?.id !== cut.id) return undefined;
  if (outcome.kind === "void") return ended(outcome.why);
  const wrong = outcome.cut.marks.findIndex(
    ({ master }: CutMark, index) => master !== cut.masters[index],
  );
  if (wrong >= 0) return ended(`partition ${wrong} was sampled at another node`);
  return { state: "done", message: JSON.stringify(outcome.cut) };
}

function obstacleTo({ partitions, restore, reshard }: View): string | undefined {
  if ((restore ?? null) !== null) return "a restore is under way";
  // Both pause the masters.
  if (isBeingSwitched(reshard)) return "a resharding is being switched";
  const without = partitions.find(({ master }) => master === null);
  if (without !== undefined) return `partition ${without.index} has no master`;
  const silent = partitions.find(({ suspended }) => suspended === true);
  if (silent !== undefined) return `the master of partition ${silent.index} is silent`;
  const moving = partitions.find(isMoving);
  return moving === undefined
    ? undefined
    : `partition ${moving.index} is getting another master: ask again when it has one`;
}

function isMoving({ handover, promoting, failover }: PartitionView): boolean {
  return (handover ?? promoting ?? failover ?? null) !== null;
}
