// follow.ts: a partition whose nodes copy a master of another system until they take over from it. Pure.
//
//   empty --begin--> fencing --no router writes any more, still empty--> copying --promote, reached--> failover --> served
//                      | a write arrived                                    ^
//                      v                                                    | copy
//                    served again   served --back--> fencing --no writes--> fenced --stay--> served again
//
// Only the tool (twine-follow) talks to the other system's servers; the alpha does not have their passwords. The tool
// proves how far the old master is by an offset on its history, sampled when no client could write to it any more. The
// alpha promotes only a node that has reached this offset.
import type { FollowRequest, Request } from "../../../core/request.ts";
import type { FailoverReplica, FollowedMaster, PartitionView, View } from "../../../core/view.ts";
import { without } from "../../../core/without.ts";
import { dataNodesByPartition } from "../by-partition.ts";
import type { NodeHealth } from "../nodes/node-health.ts";
import type { FenceTimes, Rules } from "../rules.ts";

export interface FollowInput {
  readonly view: View;
  readonly requests: readonly Request[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly nowMs: number;
  readonly timesOf: (partition: number) => FenceTimes;
  readonly wallTime: string;
  readonly rules: Rules;
}

export interface FollowDecision {
  /** The same object when nothing changes. */
  readonly view: View;
  readonly answers: readonly Request[];
}

export function decideFollow(input: FollowInput): FollowDecision {
  const answers: Request[] = [];
  let partitions = input.view.partitions.map((partition) => moved(partition, input));
  for (const request of input.requests) {
    const { body, state } = request;
    if (body.kind !== "follow" || state !== "asked") continue;
    const partition = partitions.find(({ index }) => index === body.partition);
    const verdict =
      partition === undefined
        ? refused(`there is no partition ${body.partition}`)
        : judge(body, partition, input);
    if (verdict.kind === "wait") continue;
    if (verdict.kind === "refused") {
      answers.push({ ...request, state: "refused", message: verdict.message });
      continue;
    }
    answers.push({ ...request, state: "done", message: verdict.message });
    partitions = partitions.map((old) => (old === partition ? verdict.partition : old));
  }
  const isSame = partitions.every((next, index) => next === input.view.partitions[index]);
  return { view: isSame ? input.view : { ...input.view, partitions }, answers };
}

type Verdict =
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "wait" }
  | { readonly kind: "done"; readonly message: string; readonly partition: PartitionView };

function refused(message: string): Verdict {
  return { kind: "refused", message };
}

function done(partition: PartitionView, message: string): Verdict {
  return { kind: "done", partition, message };
}

/** Moves the partition from fencing to the next phase when that is due, and updates its `needs`. */
function moved(partition: PartitionView, input: FollowInput): PartitionView {
  const following = partition.following ?? null;
  if (following === null) return partition;
  if (following.phase === "fencing") {
    const healths = healthsOf(partition, input);
    const infos = healths.flatMap((health) => (health.kind === "up" ? [health.info] : []));
    if (following.isBack !== true) {
      if (infos.some(({ keys }) => keys > 0)) return served(partition);
      if (infos.length < healths.length) return withNeeds(partition, following);
    }
    const times = timesWhenAsked(input.timesOf(partition.index), healths, input.nowMs);
    if (!input.rules.mayFollow(times, following, infos)) return withNeeds(partition, following);
    const phase = following.isBack === true ? "fenced" : "copying";
    return withNeeds({ ...partition, following: { ...following, phase } }, following);
  }
  return withNeeds(partition, following);
}

function healthsOf(
  { index }: PartitionView,
  { view, nodeHealth }: FollowInput,
): readonly NodeHealth[] {
  const nodes = dataNodesByPartition(view.nodes).get(index) ?? [];
  return nodes.map(({ name }) => nodeHealth.get(name) ?? { kind: "unknown" });
}

/** A node's INFO from before the routers' last write proves nothing: the times count up to the oldest INFO. */
function timesWhenAsked(
  times: FenceTimes,
  healths: readonly NodeHealth[],
  nowMs: number,
): FenceTimes {
  const asked = healths.map((health) => (health.kind === "up" ? health.askedAtMs : nowMs));
  return { ...times, heldForMs: times.heldForMs - (nowMs - Math.min(nowMs, ...asked)) };
}

function withNeeds(partition: PartitionView, old: FollowedMaster): PartitionView {
  const needs = needsOf(partition.following ?? old);
  return partition.needs === needs ? partition : { ...partition, needs };
}

/** Must not contain a figure that changes by itself: every change of this text changes the view. */
function needsOf({ host, port, phase, isBack }: FollowedMaster): string {
  const old = `${host}:${port}`;
  switch (phase) {
    case "fencing":
      return `a moment: its nodes are about to follow ${old}`;
    case "fenced":
      return `twine-follow --back to end (${old} is to be master again), or to stay here: twine-follow --stay`;
    case "copying":
      return `its nodes follow ${old}, which has the data and serves${isBack === true ? " again" : ""}; to take over from it: twine-follow --switch`;
  }
}

/** Ends the following. The last master never stopped, so the usual rules promote it again. */
function served(partition: PartitionView): PartitionView {
  return { ...partition, following: null, needs: null };
}

function judge(body: FollowRequest, partition: PartitionView, input: FollowInput): Verdict {
  switch (body.step) {
    case "begin":
      return judgeBegin(body, partition, input);
    case "mark":
      return judgeMark(body, partition);
    case "unmark":
      return judgeUnmark(partition);
    case "promote":
      return judgePromote(body, partition, input);
    case "back":
      return judgeBack(body, partition, input);
    case "copy":
      return judgeCopy(partition);
    case "stay":
      return judgeStay(partition);
    case "finish":
      return done({ ...partition, cameFrom: null }, "the way back is closed");
    default:
      return body.step satisfies never;
  }
}

/**
 * 1. The partition follows already: the address is replaced, because the other system may have failed over.
 * 2. Another change is under way: refused, ask again later.
 * 3. Every node must answer, have loaded, and be empty, because its data would be dropped.
 */
function judgeBegin(body: FollowRequest, partition: PartitionView, input: FollowInput): Verdict {
  const { host, port, by } = body;
  const following = partition.following ?? null;
  const { index } = partition;
  const message = `partition ${index} follows ${host}:${port}`;
  if (following !== null) {
    if (following.phase === "fenced") return refused(`partition ${index} is on its way back`);
    if (following.host === host && following.port === port) return done(partition, message);
    const next: FollowedMaster = { ...following, host, port, by, since: input.wallTime };
    return done(withNeeds({ ...partition, following: next }, next), message);
  }
  const busy = busyWith(partition, input.view);
  if (busy !== undefined) return refused(busy);
  const nodes = dataNodesByPartition(input.view.nodes).get(index) ?? [];
  for (const { name } of nodes) {
    const health = input.nodeHealth.get(name);
    if (health?.kind !== "up") return refused(`${name} does not answer: start it first`);
    if (health.info.isLoading) return refused(`${name} is loading its data`);
    if (health.info.keys > 0) {
      return refused(
        `${name} holds keys, which would be thrown away: only an empty partition can follow`,
      );
    }
  }
  return done(
    fencing(partition, { host, port, by, since: input.wallTime, phase: "fencing" }),
    message,
  );
}

function fencing(partition: PartitionView, following: FollowedMaster): PartitionView {
  const { master, lastMaster } = partition;
  return withNeeds(
    {
      ...without(partition, "suspended"),
      master: null,
      lastMaster: master ?? lastMaster,
      promoting: null,
      failover: null,
      handover: null,
      following,
    },
    following,
  );
}

function busyWith(
  { index, promoting, handover, failover }: PartitionView,
  { restore, cut, reshard }: View,
): string | undefined {
  if ((reshard ?? null) !== null) return "a resharding is under way";
  if ((restore ?? null) !== null) return "a restore is under way";
  if ((cut ?? null) !== null) return "a backup is sampling the offsets: ask again";
  const isMoving = (promoting ?? handover ?? failover ?? null) !== null;
  return isMoving ? `partition ${index} is getting another master: ask again` : undefined;
}

/** A switch begins: the old master takes no writes and is at this offset. A mark of an earlier attempt becomes void. */
function judgeMark(
  { host, port, replicationId, offset }: FollowRequest,
  partition: PartitionView,
): Verdict {
  const following = partition.following ?? null;
  const { index } = partition;
  if (following?.phase !== "copying") return refused(`partition ${index} follows no master`);
  if (following.host !== host || following.port !== port) {
    return refused(`partition ${index} follows ${following.host}:${following.port}`);
  }
  const next: FollowedMaster = { ...following, mark: { replicationId, offset } };
  return done({ ...partition, following: next }, `partition ${index} is to reach ${offset}`);
}

/** The switch was cancelled. No earlier request promotes a node any more, so the old master may serve again. */
function judgeUnmark(partition: PartitionView): Verdict {
  const following = partition.following ?? null;
  const { index } = partition;
  if (following?.phase !== "copying") return refused(`partition ${index} follows no master`);
  const next: FollowedMaster = without(following, "mark");
  return done({ ...partition, following: next }, `partition ${index} still follows`);
}

/**
 * The old master takes no writes any more and is at this offset. From here on it is a normal failover: the nodes are
 * detached and compared, and only a node that has reached the offset makes the choice sure.
 */
function judgePromote(body: FollowRequest, partition: PartitionView, input: FollowInput): Verdict {
  const following = partition.following ?? null;
  const { index } = partition;
  if (following?.phase !== "copying") {
    const { cameFrom } = partition;
    const isThisOne = cameFrom?.host === body.host && cameFrom.port === body.port;
    if (isThisOne && partition.master === null) return { kind: "wait" };
    if (isThisOne) return done(partition, `${partition.master} is master of partition ${index}`);
    return refused(`partition ${index} follows no master`);
  }
  const { host, port } = following;
  if (host !== body.host || port !== body.port) {
    return refused(`partition ${index} follows ${host}:${port}, not ${body.host}:${body.port}`);
  }
  const { mark } = following;
  if (mark?.replicationId !== body.replicationId || mark.offset !== body.offset) {
    return refused(`partition ${index} is not marked so: the switch was given up`);
  }
  const nodes = dataNodesByPartition(input.view.nodes).get(index) ?? [];
  const replicas = nodes.map((node): FailoverReplica => {
    const health = input.nodeHealth.get(node.name);
    const isReached = health?.kind === "up" && input.rules.reachesMark(health.info, body);
    const runId = health?.kind === "up" ? health.info.runId : node.runId;
    return { name: node.name, runId, inSync: isReached };
  });
  if (!replicas.some(({ inSync }) => inSync)) return { kind: "wait" };
  return done(
    {
      ...partition,
      following: null,
      cameFrom: { host, port },
      // The partition's earlier master has copied the other system's data, so its own history is gone.
      lastMaster: null,
      masterRunId: null,
      replicationId: body.replicationId,
      failover: { from: `${host}:${port}`, isKnownDead: true, replicas },
      needs: null,
    },
    `partition ${index} takes over from ${host}:${port}`,
  );
}

/** The way back: the old master follows this partition and is to serve again. */
function judgeBack(body: FollowRequest, partition: PartitionView, input: FollowInput): Verdict {
  const { host, port, by } = body;
  const { index, master } = partition;
  const following = partition.following ?? null;
  const message = `partition ${index} goes back to ${host}:${port}`;
  if (following !== null) {
    const isSame = following.isBack === true && following.host === host && following.port === port;
    return isSame ? done(partition, message) : refused(`partition ${index} follows already`);
  }
  const busy = busyWith(partition, input.view);
  if (busy !== undefined) return refused(busy);
  if (master === null) return refused(`partition ${index} has no master`);
  const since = input.wallTime;
  return done(
    fencing(partition, { host, port, by, since, phase: "fencing", isBack: true }),
    message,
  );
}

/** The old master is master again: the partition's nodes follow it. */
function judgeCopy(partition: PartitionView): Verdict {
  const following = partition.following ?? null;
  const { index } = partition;
  if (following?.isBack === true && following.phase === "copying") {
    return done(partition, `partition ${index} follows ${following.host}:${following.port}`);
  }
  if (following?.phase !== "fenced") return refused(`partition ${index} is not on its way back`);
  const next: FollowedMaster = { ...following, phase: "copying" };
  const message = `partition ${index} follows ${next.host}:${next.port}`;
  return done(withNeeds({ ...partition, following: next, cameFrom: null }, next), message);
}

function judgeStay(partition: PartitionView): Verdict {
  const following = partition.following ?? null;
  if (following === null) return done(partition, "nothing was changed");
  if (following.isBack !== true || following.phase === "copying") {
    return refused(`partition ${partition.index} has no data of its own to stay with`);
  }
  return done(served(partition), `partition ${partition.index} is served here again`);
}
