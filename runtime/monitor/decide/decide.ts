// decide.ts: the next view from the present one and what is observed. Pure.
//
//   view + observations + time --decide--> next view --register accepts it--> actions.ts: what it asks of the nodes
//
// The view comes first and the actions follow from the view that was chosen, never from what a monitor meant to do.
import { nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Request } from "../../core/request.ts";
import { stateOf, type NodeView, type PartitionView, type View } from "../../core/view.ts";
import { adoptConf, type ConfDecision } from "./adopt-conf.ts";
import { dataNodesByPartition } from "./by-partition.ts";
import { decideDataNodes } from "./data-nodes.ts";
import type { HandoverStep } from "./handover.ts";
import { drainingOf } from "./failover.ts";
import type { SyncMarks } from "./in-sync.ts";
import type { Observations } from "./observations.ts";
import { decidePartition } from "./partition.ts";
import type { Pauses } from "./pauses.ts";
import { NO_PLANS, decidePlanned, type PlanMemory } from "./planned.ts";
import { decideRequests, type RequestDecision } from "./requests.ts";
import { withRescue, type RescueOutcomes } from "./rescues.ts";
import { RULES, type Rules } from "./rules.ts";
import { unsettledOf } from "./settled.ts";
import { isCutOff, standingOf, type Standing } from "./standing.ts";
import type { Vacancies } from "./vacancies.ts";

export interface DecideInput {
  /** The view that the register holds. */
  readonly view: View;
  /** This monitor's twine.conf and its digest. */
  readonly config: ClusterConfig;
  readonly digest: string;
  readonly observed: Observations;
  readonly marks: SyncMarks;
  readonly nowMs: number;
  /** When this monitor became alpha, by the clock of `nowMs`. */
  readonly alphaSinceMs: number;
  readonly wallTime: string;
  /** node -> since when nothing is on its way to it, from this alpha or an earlier one; absent: something may be. What a
      node was asked later than that, it said of itself as it stays until this alpha acts again. */
  readonly quietSinceMs: ReadonlyMap<string, number>;
  readonly vacancies: Vacancies;
  /** What this alpha remembers of its own doing; absent: nothing yet. */
  readonly pauses?: Pauses;
  readonly rescues?: RescueOutcomes;
  readonly plans?: PlanMemory;
  /** Absent: those that hold. */
  readonly rules?: Rules;
}

export interface Decision {
  /** The same object as the input's view when nothing changes; otherwise one revision on. */
  readonly view: View;
  readonly marks: SyncMarks;
  readonly plans: PlanMemory;
  readonly standings: ReadonlyMap<string, Standing>;
  /** To be given once the view is chosen. */
  readonly answers: readonly Request[];
  readonly conf: ConfDecision;
  /** Replicas that still read what a dead master has sent them. */
  readonly draining: ReadonlySet<string>;
  /** Most data nodes are silent: nothing was decided. */
  readonly isCutOff: boolean;
}

export function decide(input: DecideInput): Decision {
  const { observed } = input;
  const monitorCount = nodesOf(input.config, "monitor").length;
  const conf = adoptConf({ ...input, peers: observed.peers });
  const held = conf.kind === "adopted" || conf.kind === "retiring" ? conf.view : input.view;
  const standings = new Map(
    held.nodes
      .filter(({ kind }) => kind === "data")
      .map(({ name }) => [name, standingOf(name, observed, monitorCount)] as const),
  );
  if (isCutOff(observed.data)) {
    return {
      view: input.view,
      marks: input.marks,
      plans: input.plans ?? NO_PLANS,
      standings,
      answers: [],
      conf: { kind: "same" },
      draining: NOBODY,
      isCutOff: true,
    };
  }
  const planned = decidePlanned({
    view: held,
    standings,
    requests: observed.requests,
    pauses: input.pauses ?? new Map(),
    quietSinceMs: input.quietSinceMs,
    memory: input.plans ?? NO_PLANS,
    settings: input.config.settings,
    nowMs: input.nowMs,
  });
  const base = { ...held, nodes: held.nodes.filter(({ name }) => !planned.gone.has(name)) };
  const requests = decideRequests(observed.requests, base, standings);
  const parts = decidePartitions(input, base, standings, requests, planned.steps);
  const hasUnseen = [...standings.values()].some(
    ({ kind }) => kind === "unknown" || kind === "suspect",
  );
  return {
    view: nextView(input, base, parts, hasUnseen),
    marks: parts.marks,
    plans: planned.memory,
    standings,
    answers: [...requests.answers, ...planned.answers],
    conf: conf.kind === "retiring" ? { ...conf, why: planned.why } : conf,
    draining: parts.draining,
    isCutOff: false,
  };
}

const NOBODY: ReadonlySet<string> = new Set();

interface Parts {
  readonly partitions: readonly PartitionView[];
  readonly dataNodes: ReadonlyMap<string, NodeView>;
  readonly marks: SyncMarks;
  readonly draining: ReadonlySet<string>;
}

function decidePartitions(
  input: DecideInput,
  base: View,
  standings: ReadonlyMap<string, Standing>,
  { acceptLoss, seenRescues }: RequestDecision,
  steps: ReadonlyMap<number, HandoverStep>,
): Parts {
  const dataNodes = new Map<string, NodeView>();
  const draining = new Set<string>();
  let marks = input.marks;
  const byPartition = dataNodesByPartition(base.nodes);
  const ledForMs = input.nowMs - input.alphaSinceMs;
  const { downAfterMs, leaseMs, ackReplicas } = input.config.settings;
  const partitions = base.partitions.map((before) => {
    const step = steps.get(before.index);
    const partition = step?.partition ?? before;
    const nodes = byPartition.get(partition.index) ?? [];
    // A new alpha has not asked everybody yet; what it has not seen must not look like an outage.
    const isNews = ledForMs < downAfterMs && partition.master === null;
    const isUnseen = nodes.some(({ name }) => standings.get(name)?.kind === "unknown");
    const vacantForMs = input.nowMs - (input.vacancies.get(partition.index) ?? input.nowMs);
    const { rules = RULES } = input;
    const judged = { vacantForMs, leaseMs, downAfterMs, ackReplicas, rules };
    const isUnread = partition.master === null && !input.observed.isLastSeenRead;
    const decided =
      step?.kind === "under-way" || isUnread || (isNews && isUnseen)
        ? partition
        : decidePartition({
            partition,
            nodes,
            standings,
            lastSeen: input.observed.lastSeen,
            ledForMs,
            ...judged,
            unsettled:
              partition.master === null
                ? unsettledOf(nodes, standings, input.quietSinceMs)
                : NOBODY,
            acceptLossOf: acceptLoss.get(partition.index),
          });
    for (const name of drainingOf({ partition: decided, nodes, standings, ...judged })) {
      draining.add(name);
    }
    const { wallTime } = input;
    const promotingBefore = before.promoting ?? null;
    const roles = decideDataNodes({
      partition: decided,
      promotingBefore,
      nodes,
      standings,
      marks,
      wallTime,
    });
    marks = roles.marks;
    const rescues = input.rescues ?? new Map();
    for (const node of roles.nodes) {
      dataNodes.set(node.name, withRescue(node, rescues, seenRescues, wallTime));
    }
    return withRoles(decided, roles.nodes);
  });
  return { partitions, dataNodes, marks, draining };
}

function withRoles(partition: PartitionView, nodes: readonly NodeView[]): PartitionView {
  const namesWith = (role: NodeView["role"]): string[] =>
    nodes.filter((node) => node.role === role).map(({ name }) => name);
  return { ...partition, replicas: namesWith("replica"), dead: namesWith("dead") };
}

/** `hasUnseen`: some data node was not looked at yet or gives no answer, so what is not OK already can't be called so now. */
function nextView(input: DecideInput, base: View, parts: Parts, hasUnseen: boolean): View {
  const nodes = base.nodes.map(
    (node) => parts.dataNodes.get(node.name) ?? otherNode(node, input.observed, input.wallTime),
  );
  const { partitions } = parts;
  const sum = stateOf({ partitions, nodes });
  const state = sum === "OK" && hasUnseen && input.view.state !== "OK" ? "DEGRADED" : sum;
  const next: View = { ...base, partitions, nodes, state };
  if (isSameBody(input.view, next)) return input.view;
  return { ...next, revision: input.view.revision + 1, updatedAt: input.wallTime };
}

/** Status nodes, monitors and routers are up or dead; while nothing is known they stay as they were. */
function otherNode(node: NodeView, observed: Observations, wallTime: string): NodeView {
  const isUp = observed.others.get(node.name);
  const role = isUp === undefined ? node.role : isUp ? "up" : "dead";
  if (role === node.role) return node;
  return { ...node, role, inSync: role === "up", since: wallTime };
}

function isSameBody(a: View, b: View): boolean {
  return (
    a.confDigest === b.confDigest &&
    a.state === b.state &&
    JSON.stringify(a.partitions) === JSON.stringify(b.partitions) &&
    JSON.stringify(a.nodes) === JSON.stringify(b.nodes)
  );
}
