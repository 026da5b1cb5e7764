// decide.ts: computes the next view from the present view and the observations. Pure.
//
//   view + observations + time --decide--> next view --register accepts it--> actions.ts: the commands for the nodes
//
// The view comes first. The actions follow from the chosen view only, never from a decision that was not chosen.
import { nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Hashing } from "../../core/hashing.ts";
import type { MalformedEntry } from "../../core/shared-entries.ts";
import type { Request } from "../../core/request.ts";
import { without } from "../../core/without.ts";
import { stateOf, type NodeView, type PartitionView, type View } from "../../core/view.ts";
import { adoptConf, type ConfDecision } from "./views/adopt-conf.ts";
import { dataNodesByPartition } from "./by-partition.ts";
import { decideCut, type CutDecision, type CutOutcome } from "./cut.ts";
import { decideDataNodes } from "./nodes/data-nodes.ts";
import { keptNodes, type HandoverStep } from "./handover/handover.ts";
import { drainingOf } from "./failover/failover.ts";
import type { SyncMarks } from "./nodes/in-sync.ts";
import type { Observations } from "./nodes/observations.ts";
import { decidePartition } from "./partition.ts";
import type { Pauses } from "./pauses.ts";
import { NO_PLANS, decidePlanned, type PlanMemory } from "./handover/planned.ts";
import { withRotation } from "./views/rotation.ts";
import { recentMalformed } from "./views/malformed.ts";
import { decideRequests, type RequestDecision } from "./views/requests.ts";
import { decideReshard, switchMsMaxOf, type ReshardDecision } from "./reshard/reshard.ts";
import { decideRestore, type RestoreDecision } from "./restore.ts";
import { withRescue, type RescueOutcomes } from "./returning/rescues.ts";
import { decideFollow, type FollowDecision } from "./follow/follow.ts";
import { RULES, type FenceTimes, type Rules } from "./rules.ts";
import { staleNodesOf } from "./nodes/stale-nodes.ts";
import { otherNode, withOtherConf } from "./nodes/other-nodes.ts";
import { healthOf, type NodeHealth } from "./nodes/node-health.ts";
import type { SelfDoubt } from "./nodes/self-doubt.ts";
import { withBackup, type BackupOutcome } from "./views/backup-view.ts";
import type { HeldSince, WithoutMasterSince } from "./views/without-master.ts";

export type MailOutcome = "sent" | { readonly failed: string };

export interface DecideInput {
  /** The view that the register holds. */
  readonly view: View;
  /** The twine.conf of this monitor. */
  readonly config: ClusterConfig;
  /** The adopted twine.conf; absent: it is `config`. */
  readonly adopted?: ClusterConfig | undefined;
  /** The digest of `config`. */
  readonly digest: string;
  /** The hashing that `config` names; absent: a built-in one. */
  readonly hashing?: Hashing;
  readonly observed: Observations;
  /** Entries that this monitor removed from status nodes. */
  readonly malformed?: readonly MalformedEntry[];
  /** The result of the last mail; absent: unknown. */
  readonly mail?: MailOutcome;
  /** The state of the backups; absent: this alpha has not checked yet. */
  readonly backup?: BackupOutcome;
  readonly marks: SyncMarks;
  readonly nowMs: number;
  /** When this monitor became alpha, by the clock of `nowMs`. */
  readonly alphaSinceMs: number;
  readonly wallTime: string;
  /** node -> since when no command from this or an earlier alpha can still reach it; absent: one may. INFO that was asked
      for later stays true until this alpha acts on the node again. */
  readonly acknowledgedAtMs: ReadonlyMap<string, number>;
  readonly withoutMasterSince: WithoutMasterSince;
  /** Absent: withoutMasterSince. */
  readonly heldSince?: HeldSince;
  /** The alpha's memory of its own actions; absent: empty. */
  readonly pauses?: Pauses;
  readonly rescues?: RescueOutcomes;
  readonly plans?: PlanMemory;
  /** The result of the last cut that this alpha began; undefined until it has ended. */
  readonly cutOutcome?: CutOutcome | undefined;
  /** Absent: RULES. */
  readonly rules?: Rules;
}

export interface Decision {
  /** The input's view (same object) when nothing changes; otherwise its revision is one higher. */
  readonly view: View;
  readonly marks: SyncMarks;
  readonly plans: PlanMemory;
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  /** Answers to send when the view has been chosen. */
  readonly answers: readonly Request[];
  readonly conf: ConfDecision;
  /** Replicas that still read the rest of a dead master's stream. */
  readonly draining: ReadonlySet<string>;
  /** Nodes that may be promoted under the view's handover. */
  readonly takingOver: ReadonlySet<string>;
  /** Unless it is "none", nothing was decided. */
  readonly doubt: SelfDoubt;
}

export function decide(given: DecideInput): Decision {
  const { observed } = given;
  const conf = adoptConf({ ...given, peers: observed.peers });
  // Only the adopted twine.conf counts.
  const config = conf.kind === "adopted" ? given.config : (given.adopted ?? given.config);
  const input = { ...given, config };
  const monitorCount = nodesOf(config, "monitor").length;
  const held = conf.kind === "adopted" || conf.kind === "retiring" ? conf.view : input.view;
  const nodeHealth = new Map(
    held.nodes
      .filter(({ kind }) => kind === "data")
      .map(({ name }) => [name, healthOf(name, observed, monitorCount)] as const),
  );
  const { downAfterMs } = input.config.settings;
  const { selfDoubtOf } = input.rules ?? RULES;
  const doubt = selfDoubtOf({ observed, monitorCount, downAfterMs });
  if (doubt.kind !== "none") {
    return {
      view: undecidedView(input, doubt.why),
      marks: input.marks,
      plans: input.plans ?? NO_PLANS,
      nodeHealth,
      answers: [],
      conf: { kind: "same" },
      draining: NOBODY,
      takingOver: NOBODY,
      doubt,
    };
  }
  const restore = decidedRestore(input, held, nodeHealth);
  const restoring = { ...NO_PLANS, restoreBeat: restore.beat };
  if (restore.isFrozen) return frozen(input, restore, restoring, nodeHealth);
  const reshard = decidedReshard(input, held, nodeHealth);
  if (reshard.isFrozen) {
    return frozen(input, reshard, { ...NO_PLANS, reshard: reshard.memory }, nodeHealth);
  }
  const follow = decidedFollow(input, held, nodeHealth);
  const cut = decidedCut(input, follow.view);
  const planned = decidePlanned({
    view: cut.view,
    nodeHealth,
    requests: observed.requests,
    acknowledgedAtMs: input.acknowledgedAtMs,
    memory: input.plans ?? NO_PLANS,
    settings: input.config.settings,
    nowMs: input.nowMs,
  });
  const base = { ...cut.view, nodes: held.nodes.filter(({ name }) => !planned.gone.has(name)) };
  const requests = decideRequests(observed.requests, base, nodeHealth);
  const parts = decidePartitions(input, base, nodeHealth, requests, planned.steps);
  const hasUnseen = [...nodeHealth.values()].some(
    ({ kind }) => kind === "unknown" || kind === "suspect",
  );
  return {
    view: nextView(input, base, parts, hasUnseen),
    marks: parts.marks,
    plans: { ...planned.memory, reshard: reshard.memory },
    nodeHealth,
    answers: [restore, reshard, follow, cut, requests, planned].flatMap(({ answers }) => answers),
    conf: conf.kind === "retiring" ? { ...conf, why: planned.why } : conf,
    draining: parts.draining,
    takingOver: planned.takingOver,
    doubt,
  };
}

function decidedFollow(
  input: DecideInput,
  view: View,
  nodeHealth: Decision["nodeHealth"],
): FollowDecision {
  const { nowMs, wallTime, observed, rules = RULES } = input;
  const timesOf = (index: number): FenceTimes => fenceTimes(input, index);
  return decideFollow({
    view,
    requests: observed.requests,
    nodeHealth,
    nowMs,
    wallTime,
    timesOf,
    rules,
  });
}

function decidedRestore(
  { observed, plans, nowMs, wallTime }: DecideInput,
  view: View,
  nodeHealth: Decision["nodeHealth"],
): RestoreDecision {
  const { requests } = observed;
  return decideRestore({ view, requests, nodeHealth, beat: plans?.restoreBeat, nowMs, wallTime });
}

function decidedReshard(
  { observed, pauses = new Map(), ...input }: DecideInput,
  view: View,
  nodeHealth: Decision["nodeHealth"],
): ReshardDecision {
  const { nowMs, wallTime, acknowledgedAtMs, plans, config } = input;
  return decideReshard({
    ...{ view, nodeHealth, pauses, nowMs, wallTime, acknowledgedAtMs },
    requests: observed.requests,
    memory: plans?.reshard,
    switchMsMax: switchMsMaxOf(config.settings),
  });
}

function decidedCut({ observed, cutOutcome, wallTime }: DecideInput, view: View): CutDecision {
  return decideCut({ view, requests: observed.requests, outcome: cutOutcome, wallTime });
}

/** During a restore, and while a resharding switches, only cuts are decided, and refused; an edited twine.conf is adopted
    after it. */
function frozen(
  input: DecideInput,
  frozenBy: RestoreDecision | ReshardDecision,
  plans: PlanMemory,
  nodeHealth: Decision["nodeHealth"],
): Decision {
  const { view: before, marks, wallTime } = input;
  const { view: decided, answers } = decidedCut(input, frozenBy.view);
  const view: View = { ...without(decided, "undecided"), ...servedByAll(decided) };
  const isChange = JSON.stringify(view) !== JSON.stringify(before);
  return {
    view: isChange ? { ...view, revision: before.revision + 1, updatedAt: wallTime } : before,
    marks,
    plans,
    nodeHealth,
    answers: [...frozenBy.answers, ...answers],
    conf: { kind: "same" },
    draining: NOBODY,
    takingOver: NOBODY,
    doubt: { kind: "none" },
  };
}

const NOBODY: ReadonlySet<string> = new Set();

/** The view with the reason why nothing is decided, for twine-status. */
function undecidedView({ view, wallTime }: DecideInput, why: string): View {
  if (view.undecided === why) return view;
  const state = view.state === "OK" ? "DEGRADED" : view.state;
  const { revision } = view;
  const changes = { undecided: why, state, revision: revision + 1, updatedAt: wallTime };
  return { ...view, ...servedByAll(view), ...changes };
}

/** Removes `suspended`: writes are buffered only while decisions about their master are made. */
function servedByAll({ partitions }: View): Pick<View, "partitions"> {
  return { partitions: partitions.map((partition) => without(partition, "suspended")) };
}

interface Parts {
  readonly partitions: readonly PartitionView[];
  readonly dataNodes: ReadonlyMap<string, NodeView>;
  readonly marks: SyncMarks;
  readonly draining: ReadonlySet<string>;
}

function fenceTimes(input: DecideInput, index: number): FenceTimes {
  const { leaseMs, downAfterMs, ackReplicas } = input.config.settings;
  return { ...timesWithoutMaster(input, index), leaseMs, downAfterMs, ackReplicas };
}

function timesWithoutMaster(
  { nowMs, withoutMasterSince, heldSince = withoutMasterSince }: DecideInput,
  index: number,
): { readonly withoutMasterForMs: number; readonly heldForMs: number } {
  return {
    withoutMasterForMs: nowMs - (withoutMasterSince.get(index) ?? nowMs),
    heldForMs: nowMs - (heldSince.get(index) ?? nowMs),
  };
}

function decidePartitions(
  input: DecideInput,
  base: View,
  nodeHealth: ReadonlyMap<string, NodeHealth>,
  { acceptLoss, seenRescues }: RequestDecision,
  steps: ReadonlyMap<number, HandoverStep>,
): Parts {
  const decidedNodes = new Map<string, NodeView>();
  const dataNodes = base.nodes.filter(({ kind }) => kind === "data");
  const draining = new Set<string>();
  let marks = input.marks;
  const byPartition = dataNodesByPartition(base.nodes);
  const ledForMs = input.nowMs - input.alphaSinceMs;
  const { downAfterMs } = input.config.settings;
  const partitions = base.partitions.map((before) => {
    const step = steps.get(before.index);
    const partition = step?.partition ?? before;
    const nodes = byPartition.get(partition.index) ?? [];
    const kept = keptNodes({ partition: before, nodes, nodeHealth }, step);
    if (kept.length > 0 && kept.length === nodes.length) {
      for (const node of nodes) decidedNodes.set(node.name, node);
      return withRoles(partition, nodes);
    }
    // A new alpha has not asked every node yet. A node that was not asked must not look like an outage.
    const isNews = ledForMs < downAfterMs && partition.master === null;
    const isUnseen = nodes.some(({ name }) => nodeHealth.get(name)?.kind === "unknown");
    const { rules = RULES } = input;
    const judged = { ...fenceTimes(input, partition.index), rules };
    const isFollowing = (partition.following ?? null) !== null;
    const isUnread = partition.master === null && !input.observed.isLastSeenRead;
    const decided =
      step?.kind === "under-way" || isFollowing || isUnread || (isNews && isUnseen)
        ? partition
        : decidePartition({
            partition,
            nodes,
            nodeHealth,
            lastSeen: input.observed.lastSeen,
            ledForMs,
            ...judged,
            stale:
              partition.master === null
                ? staleNodesOf(nodes, nodeHealth, input.acknowledgedAtMs)
                : NOBODY,
            acceptLossOf: acceptLoss.get(partition.index),
            dataNodes,
            observations: input.observed.data,
          });
    for (const name of drainingOf({ partition: decided, nodes, nodeHealth, ...judged })) {
      draining.add(name);
    }
    const { wallTime } = input;
    const roles = decideDataNodes({
      ...{ partition: decided, nodes, nodeHealth, marks, wallTime },
      promotingBefore: before.promoting ?? null,
      observations: input.observed.data,
      dataNodes,
      downAfterMs,
    });
    marks = roles.marks;
    const rescues = input.rescues ?? new Map();
    const next = roles.nodes.map((node) => kept.find(({ name }) => name === node.name) ?? node);
    for (const node of next) {
      decidedNodes.set(node.name, withRescue(node, rescues, seenRescues, wallTime));
    }
    return withRoles(decided, next);
  });
  return { partitions, dataNodes: decidedNodes, marks, draining };
}

function withRoles(partition: PartitionView, nodes: readonly NodeView[]): PartitionView {
  const namesWith = (role: NodeView["role"]): string[] =>
    nodes.filter((node) => node.role === role).map(({ name }) => name);
  return { ...partition, replicas: namesWith("replica"), dead: namesWith("dead") };
}

/** `hasUnseen`: some data node was not asked yet or is suspect, so a view that is not OK can't become OK now. */
function nextView(input: DecideInput, base: View, parts: Parts, hasUnseen: boolean): View {
  const nodes = base.nodes.map(
    (node) =>
      parts.dataNodes.get(node.name) ??
      withOtherConf(otherNode(node, input.observed, input.wallTime), input, base),
  );
  const { partitions } = parts;
  const sum = stateOf({ partitions, nodes });
  const backed = withBackup(base, input.backup, input.config.settings, input.wallTime);
  const isPoor = (hasUnseen && input.view.state !== "OK") || backed.backup?.isOverdue === true;
  const state = sum === "OK" && isPoor ? "DEGRADED" : sum;
  const decided = without(backed, "undecided", "malformed");
  const malformed = recentMalformed(base.malformed, input.malformed, input.wallTime);
  const mailed = withMail(decided, input);
  const rotated = withRotation(mailed, input.config, input.observed.rotation);
  const next: View = { ...rotated, partitions, nodes, state, ...malformed };
  if (isSameBody(input.view, next)) return input.view;
  return { ...next, revision: input.view.revision + 1, updatedAt: input.wallTime };
}

/** Until this alpha has tried to send a mail, its predecessor's result stays. */
function withMail(view: View, { mail, config, wallTime }: DecideInput): View {
  const isOff = config.settings.alertMail.length === 0;
  if (mail === undefined && !isOff) return view;
  if (isOff || mail === "sent" || mail === undefined) return without(view, "mailFailed");
  if (view.mailFailed?.why === mail.failed) return view;
  return { ...view, mailFailed: { why: mail.failed, since: view.mailFailed?.since ?? wallTime } };
}

function isSameBody(a: View, b: View): boolean {
  return (
    a.confDigest === b.confDigest &&
    a.state === b.state &&
    a.undecided === b.undecided &&
    (a.cut?.id ?? "") === (b.cut?.id ?? "") &&
    JSON.stringify(a.rotation) === JSON.stringify(b.rotation) &&
    JSON.stringify(a.malformed) === JSON.stringify(b.malformed) &&
    JSON.stringify(a.mailFailed) === JSON.stringify(b.mailFailed) &&
    JSON.stringify(a.backup) === JSON.stringify(b.backup) &&
    JSON.stringify(a.partitions) === JSON.stringify(b.partitions) &&
    JSON.stringify(a.nodes) === JSON.stringify(b.nodes)
  );
}
