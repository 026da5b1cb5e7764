// restore.ts: a restore of the whole cluster: monitors don't touch the data nodes while a tool loads them. Pure.
//
//   begin --> loading: no partition has a master, nobody acts --release--> released --finish--> promoting the new masters
//               | cancel, or the tool became silent                           | the tool became silent
//               v                                                             v
//             promoting the old masters: nothing has changed     all partitions have the new data on disk? finish : HALT
//
// The record in the view belongs to the tool with its token. The tool's request "alive" has a count that grows; a tool
// whose count stays the same for SILENT_MS has died; one that failed marks it as done, so that the next need not wait. Before the release no node has changed, so the old masters are
// promoted. After it some nodes may hold the new data and some the old. Serving both would mix them, so the cluster stays
// in HALT until every partition has the new data, or another restore is finished.
import type { Request, RestoreRequest } from "../../core/request.ts";
import type { PartitionView, RestoreView, View } from "../../core/view.ts";
import type { NodeHealth } from "./nodes/node-health.ts";

/** The tool's last count that this alpha has seen. */
export interface RestoreBeat {
  readonly token: string;
  readonly count: number;
  readonly atMs: number;
}

export const SILENT_MS = 15_000;

export interface RestoreInput {
  readonly view: View;
  readonly requests: readonly Request[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly beat: RestoreBeat | undefined;
  readonly nowMs: number;
  readonly wallTime: string;
}

export interface RestoreDecision {
  /** The same object when nothing changes. */
  readonly view: View;
  /** The other rules must not change this view. */
  readonly isFrozen: boolean;
  readonly answers: readonly Request[];
  readonly beat: RestoreBeat | undefined;
}

export function decideRestore(input: RestoreInput): RestoreDecision {
  const beat = beatOf(input);
  const answers: Request[] = [];
  let { view } = input;
  for (const request of input.requests) {
    const { body, state } = request;
    if (body.kind !== "restore" || state !== "asked" || body.step === "alive") continue;
    const verdict = judge(body, view, isGone(input, beat), input.wallTime);
    view = verdict.view;
    answers.push({ ...request, state: verdict.state, message: verdict.message });
  }
  if (answers.length === 0) view = withoutDeadTool(input, beat);
  const isFrozen = (view.restore ?? null) !== null || view !== input.view;
  return { view, isFrozen, answers, beat };
}

function beatOf({ view, requests, beat, nowMs }: RestoreInput): RestoreBeat | undefined {
  const token = view.restore?.token;
  if (token === undefined) return undefined;
  const counts = requests.flatMap(({ body }) =>
    body.kind === "restore" && body.step === "alive" && body.token === token ? [body.count] : [],
  );
  const count = Math.max(0, ...counts);
  const isNews = beat?.token !== token || count > beat.count;
  return isNews ? { token, count, atMs: nowMs } : beat;
}

/** Whether the tool of the record has died, or has ended without an end of its restore. */
function isGone({ view, requests, nowMs }: RestoreInput, beat: RestoreBeat | undefined): boolean {
  const token = view.restore?.token;
  const hasEnded = requests.some(
    ({ body, state }) =>
      body.kind === "restore" && body.step === "alive" && body.token === token && state !== "asked",
  );
  return hasEnded || (beat !== undefined && nowMs - beat.atMs > SILENT_MS);
}

interface Verdict {
  readonly view: View;
  readonly state: "done" | "refused";
  readonly message: string;
}

function judge(
  { step, token, by, replicationIds, masters }: Exclude<RestoreRequest, { step: "alive" }>,
  view: View,
  isOtherGone: boolean,
  since: string,
): Verdict {
  const refused = (message: string): Verdict => ({ view, state: "refused", message });
  const done = (next: View, message: string): Verdict => ({ view: next, state: "done", message });
  const restore = view.restore ?? null;
  if (step === "begin") {
    if (restore !== null && restore.token !== token && !isOtherGone) {
      return refused(`a restore by ${restore.by} is under way since ${restore.since}`);
    }
    const reshard = view.reshard ?? null;
    if (reshard !== null) {
      return refused(`a resharding by ${reshard.by} is under way since ${reshard.since}`);
    }
    if (replicationIds.length !== view.partitions.length) {
      return refused(
        `it restores ${replicationIds.length} partitions of ${view.partitions.length}`,
      );
    }
    if (restore !== null && isLess(replicationIds, restore.replicationIds)) {
      return refused(
        `the restore by ${restore.by} broke off: first restore at least what that one did`,
      );
    }
    const moving = view.partitions.find(
      ({ handover, promoting }) => (handover ?? promoting ?? null) !== null,
    );
    if (moving !== undefined) {
      return refused(
        `partition ${moving.index} is getting another master: try again when it has one`,
      );
    }
    const copying = view.partitions.find(({ following }) => (following ?? null) !== null);
    if (copying !== undefined) {
      return refused(`partition ${copying.index} follows a master of another system: twine-follow`);
    }
    const isMixed = restore !== null && (restore.phase === "released" || restore.isMixed === true);
    const mark = isMixed ? { isMixed } : {};
    const begun: RestoreView = { token, by, since, phase: "loading", replicationIds, ...mark };
    return done(frozen(view, begun), "the data nodes are yours");
  }
  if (restore?.token !== token) return refused("the restore of this token is not under way");
  if (step === "release") {
    return done({ ...view, restore: { ...restore, phase: "released" } }, "release them");
  }
  if (step === "cancel" && (restore.phase === "released" || restore.isMixed === true)) {
    return refused("some nodes may hold other data than the rest: a restore can only be finished");
  }
  if (step === "finish") return done(ended(view, masters), "it is over");
  return done(ended(view, oldMasters(view)), "nothing was changed");
}

/** Whether `than` restores a partition that `ids` does not. */
function isLess(ids: readonly string[], than: readonly string[]): boolean {
  return than.some((id, index) => id !== "" && (ids[index] ?? "") === "");
}

function isRestored(
  { replicationIds }: Pick<RestoreView, "replicationIds">,
  index: number,
): boolean {
  return (replicationIds[index] ?? "") !== "";
}

/** Restored partitions are not served; their nodes are dead and not in sync. */
function frozen(view: View, restore: RestoreView): View {
  const partitions = view.partitions.map((partition, index): PartitionView =>
    isRestored(restore, index) ? frozenPartition(partition, restore.by) : partition,
  );
  const restored = new Set(
    partitions.flatMap(({ index }, at) => (isRestored(restore, at) ? [index] : [])),
  );
  const nodes = view.nodes.map((node) =>
    node.kind === "data" && node.partition !== null && restored.has(node.partition)
      ? { ...node, role: "dead" as const, inSync: false }
      : node,
  );
  return { ...view, partitions, nodes, restore, state: "HALT" };
}

function frozenPartition(partition: PartitionView, by: string): PartitionView {
  return {
    ...partition,
    master: null,
    lastMaster: partition.master ?? partition.lastMaster,
    promoting: null,
    failover: null,
    handover: null,
    replicas: [],
    dead: [
      ...(partition.master === null ? [] : [partition.master]),
      ...partition.replicas,
      ...partition.dead,
    ],
    needs: `the restore by ${by} to end`,
  };
}

/**
 * Those of the moment when it began: a tool may have read its view before a failover. null: the last master had restarted
 * before and was not master again. It may have come back without its data, so the rules of an outage decide.
 */
function oldMasters({ partitions, nodes }: View): (string | null)[] {
  return partitions.map(({ lastMaster, masterRunId = null }) => {
    const runId = nodes.find(({ name }) => name === lastMaster)?.runId ?? null;
    const hasRestarted = masterRunId !== null && runId !== null && runId !== masterRunId;
    return hasRestarted ? null : lastMaster;
  });
}

/** Ends the restore. `masters` by partition; null: the usual rules choose one. */
function ended(view: View, masters: readonly (string | null)[]): View {
  const { restore } = view;
  const partitions = view.partitions.map((partition, index): PartitionView => {
    if (restore !== undefined && restore !== null && !isRestored(restore, index)) return partition;
    const name = masters[index] ?? null;
    const isOfPartition = view.nodes.some(
      (node) => node.name === name && node.partition === partition.index,
    );
    return { ...partition, promoting: isOfPartition ? name : null, needs: null };
  });
  return { ...view, partitions, restore: null };
}

/** Ends the restore of a tool that has died, or shows what its partitions need. */
function withoutDeadTool(input: RestoreInput, beat: RestoreBeat | undefined): View {
  const { view } = input;
  const restore = view.restore ?? null;
  if (restore === null || !isGone(input, beat)) return view;
  if (restore.phase === "loading" && restore.isMixed !== true) {
    return ended(view, oldMasters(view));
  }
  const loaded = view.partitions.map(({ index }, at) =>
    isRestored(restore, at) ? nodeWithNewData(input, restore, index) : [],
  );
  const durable = loaded.map((nodes) => nodes.find(({ isDurable }) => isDurable)?.name);
  const isDone = (name: string | undefined, at: number): boolean =>
    name !== undefined || !isRestored(restore, at);
  if (durable.every(isDone)) {
    return ended(
      view,
      durable.map((name) => name ?? null),
    );
  }
  // Redis repeats a failed rewrite, so this ends when the disk has space again.
  const behind = loaded.flatMap((nodes, index) =>
    durable[index] === undefined ? nodes.map(({ name }) => name) : [],
  );
  const needs = loaded.every((nodes, at) => nodes.length > 0 || !isRestored(restore, at))
    ? `the append only file of ${behind.join(" or ")} to hold the restored data: see its log`
    : `a restore of everything, for the one by ${restore.by} broke off: twine-restore`;
  const isNews = view.partitions.some(
    (partition, at) => isRestored(restore, at) && partition.needs !== needs,
  );
  if (!isNews) return view;
  const partitions = view.partitions.map((partition, at) =>
    isRestored(restore, at) ? { ...partition, needs } : partition,
  );
  return { ...view, partitions };
}

interface LoadedNode {
  readonly name: string;
  /** The new data is on its disk too. If it were promoted earlier, a kill -9 would bring back the old data. */
  readonly isDurable: boolean;
}

function nodeWithNewData(
  { view, nodeHealth }: RestoreInput,
  restore: RestoreView,
  partition: number,
): LoadedNode[] {
  return view.nodes.flatMap(({ name, partition: own }) => {
    const health = nodeHealth.get(name);
    if (own !== partition || health?.kind !== "up") return [];
    const { isLoading, replicationId, isAofBehind = false } = health.info;
    if (isLoading || replicationId !== restore.replicationIds[partition]) return [];
    return [{ name, isDurable: !isAofBehind }];
  });
}
