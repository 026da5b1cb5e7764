// what-if.ts: what the alpha would do if some nodes died now. Pure.
//
//   the present view, INFO of the data nodes --victims taken out--> decide --> actions --carried out on the copy--> decide ...
//
// The deciders are the alpha's own; only the world that they act on is a copy: every action succeeds at once, a replica
// that is repointed is in sync at once. So who is promoted, and what stays in HALT and why, is what would happen; the
// time is an estimate from the few waits that time depends on.
import type { ClusterConfig } from "../../core/cluster.ts";
import type { ClusterState, View } from "../../core/view.ts";
import { actionsOf, type Action } from "./actions.ts";
import { isFollowing } from "./data-nodes.ts";
import { decide, type Decision } from "./decide.ts";
import { inheritedView } from "./first-view.ts";
import { NOWHERE, type NodeInfo } from "./info.ts";
import type { LastSeen, Observations, Peer, Sight } from "./observations.ts";
import { vacanciesAfter, type Vacancies } from "./vacancies.ts";
import { whatIsLeft, type WhatIsLeftInput } from "./what-is-left.ts";

/** killed: its process is gone, its port refuses. silent: it hangs, or its host is gone and nothing answers. */
export type Loss = "killed" | "silent";

export interface WhatIfInput extends WhatIsLeftInput {
  readonly config: ClusterConfig;
  /** Data nodes that answered just now. */
  readonly infos: ReadonlyMap<string, NodeInfo>;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
  readonly loss: Loss;
}

export interface WhatIfPartition {
  readonly index: number;
  readonly masterNow: string | null;
  readonly masterThen: string | null;
  /** What it would wait for; null when it has a master, or when nobody would be there to say. */
  readonly needs: string | null;
  /** How long it would be without a master, about; 0 when it keeps its own, null when for good. */
  readonly withoutMasterMs: number | null;
}

export interface WhatIf {
  readonly state: ClusterState;
  /** Why nothing at all would be decided; empty when there would be an alpha. */
  readonly why: string;
  /** What would be lost beside data nodes, a sentence each. */
  readonly notes: readonly string[];
  /** Those that lose a node. */
  readonly partitions: readonly WhatIfPartition[];
}

/** The alpha's pace: one decision, its view chosen, its actions done. */
const ROUND_MS = 20;
/** A port that refuses is known as soon as the standing connection breaks. */
const REFUSED_MS = 10;
/** When nothing has changed for so long beyond every wait that there is, nothing will. */
const QUIET_ROUNDS = 10;

/** Plays the loss of `victims` through. */
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
      // A victim that is still master in the view was not found dead by enough monitors.
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
  /** partition -> when its new master is in the view, from the loss on. */
  readonly servedAtMs = new Map<number, number>();
  readonly #input: WhatIfInput;
  readonly #infos: Map<string, NodeInfo>;
  readonly #alphaAtMs: number;
  readonly #horizonMs: number;
  readonly #quietSinceMs = new Map<string, number>();
  #marks: Decision["marks"] = new Map();
  #plans: Decision["plans"] | undefined;
  #vacancies: Vacancies = new Map();
  #nowMs = 0;

  constructor(input: WhatIfInput) {
    this.#input = input;
    this.#infos = new Map(input.infos);
    const { leaseMs, downAfterMs } = input.config.settings;
    const isAlphaLost = input.victims.has(input.view.alpha);
    // The others wait for a lease without a heartbeat, and a part of one more so that not all of them try at once.
    this.#alphaAtMs = isAlphaLost ? 1.5 * leaseMs : 0;
    this.view = isAlphaLost ? inheritedView(input.view, "", "") : input.view;
    this.#horizonMs = this.#alphaAtMs + 3 * downAfterMs + 4 * leaseMs;
    for (const name of this.#infos.keys()) this.#quietSinceMs.set(name, -1);
  }

  run(): void {
    const had = this.view.partitions.map(({ master }) => master);
    let quietRounds = 0;
    this.#nowMs = this.#alphaAtMs + REFUSED_MS;
    while (this.#nowMs < this.#horizonMs || quietRounds < QUIET_ROUNDS) {
      const before = this.view;
      const actions = this.#round();
      for (const [at, { index, master }] of this.view.partitions.entries()) {
        const isNew = master !== null && master !== had[at] && !this.servedAtMs.has(index);
        if (isNew) this.servedAtMs.set(index, this.#nowMs);
      }
      quietRounds = before === this.view && actions.length === 0 ? quietRounds + 1 : 0;
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
      observed: this.#observations(),
      marks: this.#marks,
      ...(this.#plans === undefined ? {} : { plans: this.#plans }),
      nowMs: this.#nowMs,
      // A monitor that leads for long already has seen everything, a new one begins.
      alphaSinceMs: this.#alphaAtMs === 0 ? -this.#horizonMs : this.#alphaAtMs,
      wallTime: "",
      quietSinceMs: this.#quietSinceMs,
      vacancies: this.#vacancies,
    });
    this.view = decision.view;
    this.#marks = decision.marks;
    this.#plans = decision.plans;
    this.#vacancies = vacanciesAfter(this.#vacancies, this.view, this.#nowMs);
    const actions = decision.isCutOff ? [] : actionsOf(this.view, decision.standings);
    for (const action of actions) this.#carryOut(action);
    return actions;
  }

  #observations(): Observations {
    const { view, victims, lastSeen, config, loss } = this.#input;
    const { downAfterMs, leaseMs } = config.settings;
    // Silence is noticed, written to the board and read there by the alpha within about a fifth of a lease.
    const isSuspected = loss === "silent" && this.#nowMs >= downAfterMs + leaseMs / 5;
    const suspects = new Set(isSuspected ? victims : []);
    const data = new Map<string, Sight>();
    const others = new Map<string, boolean>();
    const peers = new Map<string, Peer>();
    for (const { name, kind, role } of this.view.nodes) {
      const isLost = victims.has(name);
      if (kind === "data") data.set(name, this.#sightOf(name));
      else others.set(name, !isLost && role !== "dead");
      if (kind === "monitor" && name !== this.view.alpha && !isLost && role !== "dead") {
        peers.set(name, { confDigest: view.confDigest, suspects });
      }
    }
    return { data, others, peers, lastSeen, isLastSeenRead: true, requests: [] };
  }

  #sightOf(name: string): Sight {
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

  /** A replica notices at once that its master's process is gone; of silence it knows nothing. */
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
    this.#quietSinceMs.set(action.node, this.#nowMs);
    const after = afterAction(info, action, this.#infos);
    this.#infos.set(action.node, after);
    if (action.kind === "repoint") this.#listReplica(action.master.name, action);
  }

  /** The master lists whom it feeds. */
  #listReplica(master: string, { host: ip, port }: Action): void {
    const info = this.#infos.get(master);
    if (info === undefined) return;
    const rest = info.replicas.filter((listed) => listed.port !== port || listed.ip !== ip);
    this.#infos.set(master, { ...info, replicas: [...rest, { ip, port, isOnline: true }] });
  }
}

/** What a node would say after an action on it. */
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
