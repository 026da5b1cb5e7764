// situations.ts: builds views, INFOs and observations for the deciders' tests; everything not said is well.
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import type { ClusterConfig } from "../../../runtime/core/cluster.ts";
import type { Hashing } from "../../../runtime/core/hashing.ts";
import type { View } from "../../../runtime/core/view.ts";
import { decide, type Decision, type MailOutcome } from "../../../runtime/monitor/decide/decide.ts";
import { firstView } from "../../../runtime/monitor/decide/views/first-view.ts";
import type { NodeInfo } from "../../../runtime/monitor/decide/nodes/info.ts";
import type { SyncMarks } from "../../../runtime/monitor/decide/nodes/in-sync.ts";
import type {
  LastSeen,
  Observations,
  Peer,
  NodeObservation,
} from "../../../runtime/monitor/decide/nodes/observations.ts";
import {
  heldSinceAfter,
  withoutMasterSinceAfter,
  type HeldSince,
  type WithoutMasterSince,
} from "../../../runtime/monitor/decide/views/without-master.ts";
import type { Rules } from "../../../runtime/monitor/decide/rules.ts";
import type { Pause } from "../../../runtime/monitor/decide/pauses.ts";
import { NO_PLANS, type PlanMemory } from "../../../runtime/monitor/decide/handover/planned.ts";
import type { Request } from "../../../runtime/core/request.ts";

/** One partition of a1 a2 a3, one status node, three monitors. */
export const CONF = `
a1=data 0 localhost 7001 0
a2=data 0 localhost 7002 0
a3=data 0 localhost 7003 0
s1=status localhost 7101 0
m1=monitor localhost 7201
m2=monitor localhost 7202
m3=monitor localhost 7203
partitions 1
`;

export function configOf(text: string): ClusterConfig {
  const { config, errors } = parseConf(text, "twine.conf");
  if (config === undefined) throw new Error(JSON.stringify(errors));
  return config;
}

/** The same with ack-replicas 1. */
export const ONE_ACK = `${CONF}ack-replicas 1\n`;

const PORTS: Readonly<Record<string, number>> = { a1: 7001, a2: 7002, a3: 7003 };

/** A dead node: a replica of nowhere, empty. */
export function infoOf(changes: Partial<NodeInfo> = {}): NodeInfo {
  return {
    runId: "run",
    role: "replica",
    following: { host: "127.0.0.1", port: 1 },
    isLinkUp: false,
    replicationId: "new",
    offset: 0,
    isLoading: false,
    isEmptied: false,
    isDiskWell: true,
    keys: 0,
    replicas: [],
    ...changes,
  };
}

export function masterInfo(changes: Partial<NodeInfo> = {}): NodeInfo {
  return infoOf({ role: "master", following: null, replicationId: "h1", ...changes });
}

export function replicaOf(master: string, changes: Partial<NodeInfo> = {}): NodeInfo {
  const following = { host: "127.0.0.1", port: PORTS[master] ?? 0 };
  return infoOf({ following, isLinkUp: true, replicationId: "h1", ...changes });
}

export type Seen = NodeInfo | "refused" | "silent" | "unknown";

/** A cluster that a test moves from decision to decision; every choice of a view is accepted. */
export class Scene {
  view: View;
  config: ClusterConfig;
  digest = "d1";
  marks: SyncMarks = new Map();
  plans: PlanMemory = NO_PLANS;
  /** The alpha's own pauses, by node. */
  pauses = new Map<string, Pause>();
  nowMs = 0;
  nodeObservations = new Map<string, NodeObservation>();
  peers = new Map<string, Peer>();
  lastSeen = new Map<string, LastSeen>();
  /** What became of the last mail. */
  mail: MailOutcome | undefined;
  isLastSeenRead = true;
  /** For how long most nodes have been silent. */
  cutOffForMs = 0;
  requests: Request[] = [];
  withoutMasterSince: WithoutMasterSince = new Map();
  heldSince: HeldSince = new Map();
  /** Nodes to which something may be on its way; by default everything has settled long ago. */
  busy = new Set<string>();
  last: Decision | undefined;
  /** Absent: those in use. */
  rules: Rules | undefined;
  /** Of a function of the user's own. */
  hashing: Hashing | undefined;

  /** The adopted twine.conf when `config` is another. */
  adopted: ClusterConfig | undefined;

  constructor(text = CONF) {
    this.config = configOf(text);
    this.view = firstView(this.config, "d1", "m1", "2026-01-01T00:00:00.000Z");
  }

  see(name: string, seen: Seen): this {
    const reach = typeof seen === "string" ? seen : "up";
    const info = typeof seen === "string" ? null : seen;
    this.nodeObservations.set(name, { reach, info, askedAtMs: this.nowMs });
    return this;
  }

  seeAll(seen: Seen, ...names: string[]): this {
    for (const name of names) this.see(name, seen);
    return this;
  }

  /** One decision after `passMs`. */
  step(passMs = 100): this {
    this.nowMs += passMs;
    const observed: Observations = {
      data: this.nodeObservations,
      cutOffForMs: this.cutOffForMs,
      others: new Map(
        this.view.nodes.filter(({ kind }) => kind !== "data").map(({ name }) => [name, true]),
      ),
      peers: this.peers,
      lastSeen: this.lastSeen,
      isLastSeenRead: this.isLastSeenRead,
      requests: this.requests,
    };
    this.last = decide({
      ...(this.mail === undefined ? {} : { mail: this.mail }),
      view: this.view,
      config: this.config,
      adopted: this.adopted,
      digest: this.digest,
      ...(this.hashing === undefined ? {} : { hashing: this.hashing }),
      observed,
      marks: this.marks,
      nowMs: this.nowMs,
      alphaSinceMs: 0,
      wallTime: "2026-01-01T00:00:01.000Z",
      acknowledgedAtMs: new Map(
        [...this.nodeObservations.keys()]
          .filter((name) => !this.busy.has(name))
          .map((name) => [name, -1]),
      ),
      withoutMasterSince: this.withoutMasterSince,
      heldSince: this.heldSince,
      pauses: this.pauses,
      plans: this.plans,
      ...(this.rules === undefined ? {} : { rules: this.rules }),
    });
    this.plans = this.last.plans;
    this.view = this.last.view;
    this.withoutMasterSince = withoutMasterSinceAfter(
      this.withoutMasterSince,
      this.view,
      this.nowMs,
    );
    this.heldSince = heldSinceAfter(this.heldSince, this.view, this.nowMs);
    this.marks = this.last.marks;
    return this;
  }

  get partition(): View["partitions"][number] {
    const [partition] = this.view.partitions;
    if (partition === undefined) throw new Error("no partition");
    return partition;
  }

  role(name: string): string | undefined {
    return this.view.nodes.find((node) => node.name === name)?.role;
  }

  inSync(name: string): boolean | undefined {
    return this.view.nodes.find((node) => node.name === name)?.inSync;
  }
}

/** A scene in which a1 serves under history h1 with run id r1, a2 and a3 follow in sync. */
export function servedScene(text = CONF): Scene {
  const scene = new Scene(text);
  scene.seeAll(infoOf(), "a1", "a2", "a3").step();
  const listed = [7002, 7003].map((port) => ({ ip: "127.0.0.1", port, isOnline: true }));
  const master = masterInfo({ runId: "run", offset: 100, keys: 9, replicas: listed });
  scene.see("a1", master).step();
  for (const offset of [100, 110]) {
    scene.seeAll(replicaOf("a1", { offset: 110, keys: 9 }), "a2", "a3");
    scene.see("a1", { ...master, offset }).step();
  }
  scene.see("a1", { ...master, offset: 110 }).step();
  scene.lastSeen.set("a1", { replicationId: "h1", offset: 110, keys: 9 });
  return scene;
}

/** A replica of the served scene after it was detached. */
export function detached(offset = 110, changes: Partial<NodeInfo> = {}): NodeInfo {
  return infoOf({ replicationId: "h1", offset, keys: 9, ...changes });
}

/** a1 was master and its port refuses. */
export function crashed(conf = CONF): Scene {
  return servedScene(conf).see("a1", "refused").step();
}

/** a1 was master and is silent; m2 agrees. */
export function hung(conf = CONF): Scene {
  const scene = servedScene(conf).see("a1", "silent");
  scene.peers.set("m2", { confDigest: "d1", suspects: new Set(["a1"]) });
  return scene.step();
}
