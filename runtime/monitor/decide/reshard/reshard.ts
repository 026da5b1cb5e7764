// reshard.ts: other partitions for a running cluster: a tool copies the keys, the alpha switches. Pure.
//
//   begin --> copying --switch--> pausing --all paused--> draining --fence--> fencing --all detached--> fenced --commit--> over
//                ^                   |                       |                   |                        |
//                |                   '------- a master was lost, the time is over, the tool died ---------'
//                '--- the old masters serve again <--- undoing <------------------------------------------'
//
// All partitions are switched at once. Until the commit nothing but the record in the view has changed, so every way back is
// to let the old masters serve again. Nobody can write in the meantime: a fenced master refuses, and proves by its reply that
// it executed nothing. The tool commits only after the new nodes hold every write up to the fenced masters' offsets. No
// router can get a write in with an old view: its masters are fenced, and are in no later view.
//
// A commit may keep the way back: a record of the same tool that leads to the partitions from before.
//
//   commit --> keeping --back--> copying --switch--> ... as above --commit--> over: the old partitions serve again
//                 '--- stay, or the tool died ---> no record
// Only the tool talks to the new nodes before the commit. It has died when its heartbeat stays the same.
import { builtinHashing } from "../../../core/hashing.ts";
import { parseConf } from "../../../core/conf/parse.ts";
import { heartbeatIn, type Request, type ReshardRequest } from "../../../core/request.ts";
import { isBeingSwitched, reshardConflict } from "../../../core/reshard.ts";
import type { PartitionView, ReshardMark, ReshardView, View } from "../../../core/view.ts";
import { without } from "../../../core/without.ts";
import { isDetached } from "../nodes/info.ts";
import type { NodeHealth } from "../nodes/node-health.ts";
import { isPausedAt, type Pauses } from "../pauses.ts";
import { committedView, mastersConflict } from "./committed-view.ts";

/** What this alpha remembers of the resharding under way. A new alpha starts again, which only costs time. */
export interface ReshardMemory {
  readonly token: string;
  /** The tool's last count, and when it was news. */
  readonly count: number;
  readonly beatAtMs: number;
  /** When this alpha first saw the switch under way; undefined while there is none. */
  readonly switchSinceMs: number | undefined;
}

export const TOOL_SILENT_MS = 20_000;

export interface ReshardInput {
  readonly view: View;
  readonly requests: readonly Request[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly pauses: Pauses;
  /** node -> since when no command can still reach it. */
  readonly acknowledgedAtMs: ReadonlyMap<string, number>;
  readonly memory: ReshardMemory | undefined;
  /** A switch that takes longer is undone: clients wait meanwhile. */
  readonly switchMsMax: number;
  readonly nowMs: number;
  readonly wallTime: string;
}

export interface ReshardDecision {
  /** The same object when nothing changes. */
  readonly view: View;
  /** The other rules must not change this view. */
  readonly isFrozen: boolean;
  readonly answers: readonly Request[];
  readonly memory: ReshardMemory | undefined;
}

/** The time limit of a switch: clients' requests are buffered for hold-for at most. */
export function switchMsMaxOf(settings: { readonly holdForMs: number }): number {
  return Math.min(5000, settings.holdForMs / 2);
}

export function decideReshard(input: ReshardInput): ReshardDecision {
  const memory = memoryOf(input);
  const answers: Request[] = [];
  let { view } = input;
  for (const request of input.requests) {
    const { body, state } = request;
    if (body.kind !== "reshard" || state !== "asked" || body.step === "alive") continue;
    const verdict = judge(body, { ...input, view }, isGone(input, memory));
    if (verdict === undefined) continue;
    view = verdict.view;
    answers.push({ ...request, state: verdict.state, message: verdict.message });
  }
  if (view === input.view) view = continued(input, memory);
  return { view, isFrozen: isBeingSwitched(view.reshard) || view !== input.view, answers, memory };
}

function memoryOf({ view, requests, memory, nowMs }: ReshardInput): ReshardMemory | undefined {
  const reshard = view.reshard ?? null;
  if (reshard === null) return undefined;
  const { token, phase } = reshard;
  const counts = requests.flatMap(({ body }) => {
    const beat = body.kind === "reshard" ? heartbeatIn(body) : undefined;
    return beat?.token === token ? [beat.count] : [];
  });
  const count = Math.max(0, ...counts);
  const before = memory?.token === token ? memory : undefined;
  const isNews = before === undefined || count > before.count;
  const switchSinceMs = isBeingSwitched({ phase }) ? (before?.switchSinceMs ?? nowMs) : undefined;
  return {
    token,
    count: isNews ? count : before.count,
    beatAtMs: isNews ? nowMs : before.beatAtMs,
    switchSinceMs,
  };
}

/** Whether the tool of the record has died, or has ended without an end of its resharding. */
function isGone({ requests, nowMs }: ReshardInput, memory: ReshardMemory | undefined): boolean {
  if (memory === undefined) return false;
  const hasEnded = requests.some(
    ({ body, state }) =>
      body.kind === "reshard" &&
      body.step === "alive" &&
      body.token === memory.token &&
      state !== "asked",
  );
  return hasEnded || nowMs - memory.beatAtMs > TOOL_SILENT_MS;
}

interface Verdict {
  readonly view: View;
  readonly state: "done" | "refused";
  readonly message: string;
}

/** undefined: answered later. */
function judge(
  body: Exclude<ReshardRequest, { step: "alive" }>,
  input: ReshardInput,
  isOtherGone: boolean,
): Verdict | undefined {
  const { view } = input;
  const reshard = view.reshard ?? null;
  if (body.step === "begin") return judgeBegin(body, input, isOtherGone);
  if (reshard?.token !== body.token) {
    return refused(view, "the resharding of this token is not under way");
  }
  const { phase } = reshard;
  switch (body.step) {
    case "back": {
      if (reshard.isBack !== true) return refused(view, "the new partitions do not serve yet");
      if (phase !== "keeping") return done(view, "it is under way");
      return done(
        { ...view, reshard: { ...reshard, phase: "copying" } },
        "the old partitions will serve",
      );
    }
    case "switch": {
      if (phase === "undoing") return undefined;
      if (phase === "keeping") return refused(view, whyNot(reshard));
      const why = phase === "copying" ? obstacleTo(view) : undefined;
      if (why !== undefined) return refused(view, why);
      if (phase !== "copying") return done(view, "it is being switched");
      const next = { ...without(reshard, "failed", "marks"), phase: "pausing" as const };
      return done({ ...view, reshard: next }, "the masters are being paused");
    }
    case "fence":
      if (phase !== "draining") return refused(view, whyNot(reshard));
      return done(
        { ...view, reshard: { ...reshard, phase: "fencing" } },
        "the masters are being detached",
      );
    case "commit":
      return judgeCommit(body, reshard, input);
    case "undo":
      if (phase === "keeping") return refused(view, whyNot(reshard));
      if (phase === "copying" || phase === "undoing") return done(view, "it is undone");
      return done(undoing(view, reshard, "the tool gave this switch up", false), "it is undone");
    case "cancel":
    case "stay":
      // The tool that cancels empties the new nodes: never after a commit.
      if ((reshard.isBack === true) !== (body.step === "stay"))
        return refused(view, whyNot(reshard));
      if (!isBeingSwitched(reshard)) return done(without(view, "reshard"), "nothing was changed");
      if (reshard.isCancelled === true) return done(view, "the old masters serve again");
      return done(
        undoing(view, reshard, `cancelled by ${body.by}`, true),
        "the old masters serve again",
      );
    default:
      return body.step satisfies never;
  }
}

function refused(view: View, message: string): Verdict {
  return { view, state: "refused", message };
}

function done(view: View, message: string): Verdict {
  return { view, state: "done", message };
}

function whyNot({ phase, failed }: ReshardView): string {
  return `this step does not fit the phase of the switch (${phase})${failed === undefined ? "" : `: ${failed}`}`;
}

function judgeBegin(
  { token, by, conf }: Exclude<ReshardRequest, { step: "alive" }>,
  { view, wallTime }: ReshardInput,
  isOtherGone: boolean,
): Verdict | undefined {
  const reshard = view.reshard ?? null;
  if (reshard !== null && reshard.token === token) return done(view, "it is under way");
  if (reshard !== null && !isOtherGone) {
    if (reshard.isBack === true) return refused(view, wayBackIsKept(reshard));
    return refused(view, `a resharding by ${reshard.by} is under way since ${reshard.since}`);
  }
  // The earlier one is undone first.
  if (reshard !== null && isBeingSwitched(reshard)) return undefined;
  if ((view.restore ?? null) !== null) return refused(view, "a restore is under way");
  if (view.rotation !== undefined) {
    // It changes the passwords of the nodes of twine.conf only.
    return refused(
      view,
      "the password is being rotated: finish that first, or abort it (twine-password)",
    );
  }
  const { config } = parseConf(conf, "the new twine.conf");
  if (config === undefined) return refused(view, "the alpha can't read the new twine.conf");
  const why = reshardConflict(view, config) ?? foreignObstacle(view);
  if (why !== undefined) return refused(view, why);
  const hashing = builtinHashing(config.settings);
  const begun: ReshardView = { token, by, since: wallTime, phase: "copying", conf, hashing };
  return done({ ...view, reshard: begun }, "copy the keys");
}

function foreignObstacle({ partitions }: View): string | undefined {
  const other = partitions.find(
    ({ following, cameFrom }) => (following ?? cameFrom ?? null) !== null,
  );
  return other === undefined
    ? undefined
    : `partition ${other.index} is tied to a master of another system: twine-follow`;
}

function wayBackIsKept({ by, since }: ReshardView): string {
  return `the way back of the resharding by ${by} is kept since ${since}: interrupt that twine-reshard`;
}

function judgeCommit(
  { masters, conf }: Exclude<ReshardRequest, { step: "alive" }>,
  reshard: ReshardView,
  { view, wallTime }: ReshardInput,
): Verdict {
  // Asked again, because the alpha died before it could answer.
  if (reshard.isBack === true && conf !== "") return done(view, "the new partitions serve");
  if (reshard.phase !== "fenced") return refused(view, whyNot(reshard));
  const { config } = parseConf(reshard.conf, "the new twine.conf");
  if (config === undefined) return refused(view, "the alpha can't read the new twine.conf");
  const why = reshardConflict(view, config) ?? mastersConflict(masters, config);
  if (why !== undefined) return refused(view, why);
  const next = committedView({ view, config, masters, wallTime });
  if (conf === "") return done(next, "the new partitions serve");
  // Clients are held: without a way back rather than not at all.
  const back = wayBackTo(conf, next, reshard, wallTime);
  if (typeof back === "string") return done(next, `the new partitions serve; no way back: ${back}`);
  return done({ ...next, reshard: back }, "the new partitions serve; the way back is kept");
}

/** The record of the way back to that twine.conf, or why there is none. */
function wayBackTo(
  conf: string,
  view: View,
  { token, by }: ReshardView,
  wallTime: string,
): ReshardView | string {
  const { config } = parseConf(conf, "the old twine.conf");
  if (config === undefined) return "the alpha can't read the old twine.conf";
  const why = reshardConflict(view, config);
  if (why !== undefined) return why;
  const hashing = builtinHashing(config.settings);
  return { token, by, since: wallTime, phase: "keeping", conf, hashing, isBack: true };
}

/** Why the switch can't begin now; the tool asks again. */
function obstacleTo({ partitions, cut }: View): string | undefined {
  if ((cut ?? null) !== null) return "a backup is sampling the offsets";
  const moving = partitions.find(
    ({ master, suspended, promoting, handover, failover }) =>
      master === null || suspended === true || (promoting ?? handover ?? failover ?? null) !== null,
  );
  return moving && `partition ${moving.index} has no master that serves, or is getting another one`;
}

/** The next step that no request asks for. */
function continued(input: ReshardInput, memory: ReshardMemory | undefined): View {
  const { view } = input;
  const reshard = view.reshard ?? null;
  if (reshard === null) return view;
  const isToolGone = isGone(input, memory);
  switch (reshard.phase) {
    case "copying":
    case "keeping":
      return isToolGone ? without(view, "reshard") : view;
    case "undoing":
      return undone(input, reshard);
    default: {
      const why = isToolGone ? "the tool has died" : whyUndo(input, reshard.phase, memory);
      if (why !== undefined) return undoing(view, reshard, why, isToolGone);
      return advanced(input, reshard);
    }
  }
}

function undoing(view: View, reshard: ReshardView, failed: string, isCancelled: boolean): View {
  const next: ReshardView = { ...without(reshard, "marks"), phase: "undoing", failed, isCancelled };
  return { ...view, reshard: next };
}

/** After the fence a lost master stops nothing: its replicas have, or do not have, what the tool still needs. */
function whyUndo(
  { view, nodeHealth, nowMs, switchMsMax }: ReshardInput,
  phase: ReshardView["phase"],
  memory: ReshardMemory | undefined,
): string | undefined {
  if (nowMs - (memory?.switchSinceMs ?? nowMs) > switchMsMax) {
    return `the switch took longer than ${Math.round(switchMsMax)} ms (${phase})`;
  }
  if (phase === "fenced") return undefined;
  const lost = view.partitions.find((partition) => {
    const health = nodeHealth.get(partition.master ?? "");
    if (health === undefined || health.kind === "down" || health.kind === "suspect") return true;
    return health.kind === "up" && health.info.runId !== partition.masterRunId;
  });
  return lost && `the master of partition ${lost.index} died, restarted or does not answer`;
}

/** A phase ends when every master shows it by an INFO that no command of an alpha can have outdated. */
function advanced(input: ReshardInput, reshard: ReshardView): View {
  const { view, pauses, nowMs } = input;
  const { phase } = reshard;
  if (phase !== "pausing" && phase !== "fencing") return view;
  const marks: ReshardMark[] = [];
  for (const { master } of view.partitions) {
    const health = freshHealth(master ?? "", input);
    if (health === undefined || master === null) return view;
    const { info, askedAtMs } = health;
    const pause = pauses.get(master);
    const isReached =
      phase === "pausing"
        ? info.role === "master" && isPausedAt(pause, nowMs) && askedAtMs > pause.sinceMs
        : info.role === "replica" && isDetached(info);
    if (!isReached) return view;
    const { replicationId, offset } = info;
    marks.push({ node: master, replicationId, offset });
  }
  const next = phase === "pausing" ? "draining" : "fenced";
  return { ...view, reshard: { ...reshard, phase: next, marks } };
}

function freshHealth(
  name: string,
  { nodeHealth, acknowledgedAtMs }: ReshardInput,
): Extract<NodeHealth, { kind: "up" }> | undefined {
  const health = nodeHealth.get(name);
  const acknowledged = acknowledgedAtMs.get(name);
  if (health?.kind !== "up" || acknowledged === undefined) return undefined;
  return health.askedAtMs > acknowledged ? health : undefined;
}

/**
 * The end of an undoing. A master that answers must have answered since the last command to it: one that was detached is
 * promoted again, one that was not stays master. One that is down is left to the rules of a lost master.
 */
function undone(input: ReshardInput, reshard: ReshardView): View {
  const { view, nodeHealth } = input;
  const partitions: PartitionView[] = [];
  for (const partition of view.partitions) {
    const { master } = partition;
    const isDown = nodeHealth.get(master ?? "")?.kind === "down";
    const health = freshHealth(master ?? "", input);
    if (master !== null && health === undefined && !isDown) return view;
    const isFenced = health?.info.role === "replica" && health.info.runId === partition.masterRunId;
    partitions.push(
      isFenced ? { ...partition, master: null, lastMaster: master, promoting: master } : partition,
    );
  }
  const next = { ...view, partitions };
  if (reshard.isCancelled === true) return without(next, "reshard");
  return { ...next, reshard: { ...reshard, phase: "copying" } };
}
