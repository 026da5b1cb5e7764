// what-if.ts: predicts what the alpha would do if some nodes failed now. Pure.
//
//   the present view, INFO of the data nodes --without victims--> decide --> actions --applied to the copy--> decide ...
//
// The deciders are the alpha's own; the cluster that they act on is a copy. There every action succeeds at once, and a
// repointed replica is in sync at once. So the prediction of who is promoted, and what stays in HALT and why, is exact. The
// time is an estimate from the few delays that matter.
import type { ClusterConfig } from "../../core/cluster.ts";
import type { ClusterState, View } from "../../core/view.ts";
import { actionsOf, type Action } from "./actions.ts";
import { isFollowing } from "./nodes/data-nodes.ts";
import { decide, type Decision } from "./decide.ts";
import { inheritedView } from "./views/first-view.ts";
import { NOWHERE, type NodeInfo } from "./nodes/info.ts";
import { isCutOff } from "./nodes/node-health.ts";
import type { LastSeen, Observations, Peer, NodeObservation } from "./nodes/observations.ts";
import { withoutMasterSinceAfter, type WithoutMasterSince } from "./views/without-master.ts";
import { whatIsLeft, type WhatIsLeftInput } from "./what-is-left.ts";

/** killed: the process is gone, its port refuses. silent: it hangs, or its host is gone; nothing answers. */
export type Loss = "killed" | "silent";

export interface WhatIfInput extends WhatIsLeftInput {
  readonly config: ClusterConfig;
  /** INFO of the data nodes that answered just now. */
  readonly infos: ReadonlyMap<string, NodeInfo>;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
  readonly loss: Loss;
}

export interface WhatIfPartition {
  readonly index: number;
  readonly masterNow: string | null;
  readonly masterThen: string | null;
  /** What the partition would need; null when it has a master, or when no alpha would be left to report it. */
  readonly needs: string | null;
  /** About how long it would have no master; 0 when it keeps its own, null when it would never get one. */
  readonly withoutMasterMs: number | null;
}

export interface WhatIf {
  readonly state: ClusterState;
  /** Why nothing would be decided; empty when there would be an alpha. */
  readonly why: string;
  /** Losses other than data nodes, a sentence each. */
  readonly notes: readonly string[];
  /** The partitions that lose a node. */
  readonly partitions: readonly WhatIfPartition[];
}

/** The duration of one decision: the view is chosen and its actions are done. */
const ROUND_MS = 20;
/** A refusing port is known as soon as the monitor's connection breaks. */
const REFUSED_MS = 10;
/** Ends the run: after so many rounds without a change, beyond every timeout, nothing more will change. */
const UNCHANGED_ROUNDS = 10;

/** Simulates the loss of `victims`. */
export function whatIf(input: WhatIfInput): WhatIf {
  const { why, notes, isUnconfirmed } = whatIsLeft(input);
  const world = new World(input);
  if (why === "") world.run();
  const { view } = world;
  const hit = new Set(
    input.view.nodes.flatMap(({ name, partition }) =>
      partition !== null && input.victims.has(name) ? [partition] : [],
    ),
  );
  const partitions = input.view.partitions
    .filter(({ index }) => hit.has(index))
    .map(({ index, master }): WhatIfPartition => {
      const isGone = master === null || input.victims.has(master);
      const after = view.partitions.find((partition) => partition.index === index);
      // A victim that is still master in the view was not found down by enough monitors.
      const isStuck = isGone && (why !== "" || input.victims.has(after?.master ?? ""));
      const masterThen = isStuck ? null : (after?.master ?? null);
      const withoutMasterMs =
        masterThen === null ? null : isGone ? (world.servedAtMs.get(index) ?? null) : 0;
      return { index, masterNow: master, masterThen, needs: after?.needs ?? null, withoutMasterMs };
    });
  const isHalt =
    isUnconfirmed ||
    view.partitions.some(({ master }) => master === null) ||
    partitions.some(({ masterThen }) => masterThen === null);
  const wasOk = input.victims.size === 0 && why === "";
  return { state: isHalt ? "HALT" : wasOk ? view.state : "DEGRADED", why, notes, partitions };
}

/** A copy of the cluster that the deciders' actions change. */
class World {
  view: View;
  /** partition -> the time from the loss until the view has its new master. */
  readonly servedAtMs = new Map<number, number>();
  readonly #input: WhatIfInput;
  readonly #infos: Map<string, NodeInfo>;
  readonly #alphaAtMs: number;
  readonly #horizonMs: number;
  readonly #acknowledgedAtMs = new Map<string, number>();
  #marks: Decision["marks"] = new Map();
  #plans: Decision["plans"] | undefined;
  #withoutMasterSince: WithoutMasterSince = new Map();
  #nowMs = 0;

  constructor(input: WhatIfInput) {
    this.#input = input;
    this.#infos = new Map(input.infos);
    const { leaseMs, downAfterMs } = input.config.settings;
    const isAlphaLost = input.victims.has(input.view.alpha);
    // The other monitors wait for a lease without a heartbeat, and for a random part of half a lease more.
    this.#alphaAtMs = isAlphaLost ? 1.5 * leaseMs : 0;
    this.view = isAlphaLost ? inheritedView(input.view, "", "") : input.view;
    this.#horizonMs = this.#alphaAtMs + 3 * downAfterMs + 4 * leaseMs;
    for (const name of this.#infos.keys()) this.#acknowledgedAtMs.set(name, -1);
  }

  run(): void {
    const had = this.view.partitions.map(({ master }) => master);
    let unchangedRounds = 0;
    this.#nowMs = this.#alphaAtMs + REFUSED_MS;
    while (this.#nowMs < this.#horizonMs || unchangedRounds < UNCHANGED_ROUNDS) {
      const before = this.view;
      const actions = this.#round();
      for (const [at, { index, master }] of this.view.partitions.entries()) {
        const isNew = master !== null && master !== had[at] && !this.servedAtMs.has(index);
        if (isNew) this.servedAtMs.set(index, this.#nowMs);
      }
      unchangedRounds = before === this.view && actions.length === 0 ? unchangedRounds + 1 : 0;
      if (this.#nowMs > 10 * this.#horizonMs) return;
      this.#nowMs += ROUND_MS;
    }
  }

  #round(): Action[] {
    const { config, view } = this.#input;
    const decision = decide({
      view: this.view,
      config,
      digest: view.confDigest,
      ...(view.hashing === undefined ? {} : { hashing: view.hashing }),
      observed: this.#observations(),
      marks: this.#marks,
      ...(this.#plans === undefined ? {} : { plans: this.#plans }),
      nowMs: this.#nowMs,
      // The present alpha has seen everything; a new one starts from nothing.
      alphaSinceMs: this.#alphaAtMs === 0 ? -this.#horizonMs : this.#alphaAtMs,
      wallTime: "",
      acknowledgedAtMs: this.#acknowledgedAtMs,
      withoutMasterSince: this.#withoutMasterSince,
    });
    this.view = decision.view;
    this.#marks = decision.marks;
    this.#plans = decision.plans;
    this.#withoutMasterSince = withoutMasterSinceAfter(
      this.#withoutMasterSince,
      this.view,
      this.#nowMs,
    );
    const actions = decision.doubt.kind !== "none" ? [] : actionsOf(this.view, decision.nodeHealth);
    for (const action of actions) this.#carryOut(action);
    return actions;
  }

  #observations(): Observations {
    const { view, victims, lastSeen, config, loss } = this.#input;
    const { downAfterMs, leaseMs } = config.settings;
    // A monitor's suspicion reaches the alpha through the shared hashes within about a fifth of a lease.
    const isSuspected = loss === "silent" && this.#nowMs >= downAfterMs + leaseMs / 5;
    const suspects = new Set(isSuspected ? victims : []);
    const data = new Map<string, NodeObservation>();
    const others = new Map<string, boolean>();
    const peers = new Map<string, Peer>();
    for (const { name, kind } of this.view.nodes) {
      if (kind === "data") data.set(name, this.#observationOf(name));
    }
    const isMostSilent = isCutOff(data);
    for (const { name, kind, role } of this.view.nodes) {
      const isLost = victims.has(name);
      if (kind === "data") continue;
      others.set(name, !isLost && role !== "dead");
      if (kind === "monitor" && name !== this.view.alpha && !isLost && role !== "dead") {
        peers.set(name, { confDigest: view.confDigest, suspects, isCutOff: isMostSilent });
      }
    }
    const cutOffForMs = isMostSilent ? this.#nowMs - downAfterMs : 0;
    return { data, cutOffForMs, others, peers, lastSeen, isLastSeenRead: true, requests: [] };
  }

  #observationOf(name: string): NodeObservation {
    const { victims, loss, config } = this.#input;
    const info = this.#infos.get(name) ?? null;
    const askedAtMs = this.#nowMs;
    if (victims.has(name)) {
      if (loss === "killed") return { reach: "refused", info: null, askedAtMs };
      const isSilent = this.#nowMs >= config.settings.downAfterMs;
      return isSilent || info === null
        ? { reach: "silent", info: null, askedAtMs }
        : { reach: "up", info, askedAtMs: 0 };
    }
    return info === null
      ? { reach: "refused", info: null, askedAtMs }
      : { reach: "up", info: this.#cutFrom(info), askedAtMs };
  }

  /** A replica sees at once that its master's process is gone; it does not see silence. */
  #cutFrom(info: NodeInfo): NodeInfo {
    const { victims, loss, view } = this.#input;
    const isCut =
      loss === "killed" &&
      view.nodes.some((node) => victims.has(node.name) && isFollowing(info, node));
    return isCut ? { ...info, isLinkUp: false } : info;
  }

  #carryOut(action: Action): void {
    const info = this.#infos.get(action.node);
    if (info === undefined || this.#input.victims.has(action.node)) return;
    this.#acknowledgedAtMs.set(action.node, this.#nowMs);
    const after = afterAction(info, action, this.#infos);
    this.#infos.set(action.node, after);
    if (action.kind === "repoint") this.#listReplica(action.master.name, action);
  }

  /** Adds the replica to the master's list of replicas. */
  #listReplica(master: string, { host: ip, port }: Action): void {
    const info = this.#infos.get(master);
    if (info === undefined) return;
    const rest = info.replicas.filter((listed) => listed.port !== port || listed.ip !== ip);
    this.#infos.set(master, { ...info, replicas: [...rest, { ip, port, isOnline: true }] });
  }
}

/** The INFO of a node after an action on it. */
function afterAction(
  info: NodeInfo,
  action: Action,
  infos: ReadonlyMap<string, NodeInfo>,
): NodeInfo {
  switch (action.kind) {
    case "promote":
      return {
        ...info,
        role: "master",
        following: null,
        isLinkUp: false,
        replicationId: `history of ${action.node}`,
        replicationId2: info.replicationId,
        secondOffset: info.offset + 1,
      };
    case "detach":
    case "step-down":
      return { ...info, role: "replica", following: { ...NOWHERE }, isLinkUp: false, replicas: [] };
    case "repoint": {
      const { name, host, port } = action.master;
      const { replicationId, offset, keys } = infos.get(name) ?? info;
      const following = { host, port };
      return { ...info, role: "replica", following, isLinkUp: true, replicationId, offset, keys };
    }
    case "pause":
    case "unpause":
    case "rescue":
      return info;
    default:
      return action satisfies never;
  }
}
