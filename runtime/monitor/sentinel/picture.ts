// picture.ts: the cluster as Sentinel shows it: masters by name, their replicas, the monitors as sentinels. Pure.
//
//   view + twine.conf --pictureOf--> Picture --answers.ts--> replies
//                                    Picture, next Picture --events.ts--> messages for subscribers
//
// Master `twine-pN` is partition N's master. `twine` is a router: the first one that is up, so that all monitors name the
// same. While no majority of the status nodes confirms the view, no master is named: then Sentinel's clients ask another
// monitor by themselves. Replicas are still named, because reads continue.
import { createHash } from "node:crypto";
import { addressOf, majorityOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { byName } from "../../core/natural-order.ts";
import { masterName } from "../../core/sentinel-nodes.ts";
import type { PartitionView, View } from "../../core/view.ts";

export const ROUTER_MASTER = "twine";

export interface PicturedNode {
  /** Its name in twine.conf. */
  readonly node: string;
  /** For clients to connect: an address or a host name of twine.conf. */
  readonly host: string;
  readonly port: number;
  readonly db: number;
  /** Redis's run id; empty when unknown, or not a redis-server. */
  readonly runId: string;
}

export interface PicturedReplica extends PicturedNode {
  readonly isDown: boolean;
  readonly isInSync: boolean;
}

export interface PicturedMaster extends PicturedNode {
  /** The name that clients ask for: twine-p0. */
  readonly name: string;
  /** This monitor can't confirm that it serves. */
  readonly isSubjectivelyDown: boolean;
  /** The view has no master; node, host and port are then the last master's. */
  readonly isObjectivelyDown: boolean;
  /** Clients get its address: the master's, or the last master's until another one serves, unless that one may hang. */
  readonly isNamed: boolean;
  /** The node that is being promoted. */
  readonly promoting: string | null;
  readonly replicas: readonly PicturedReplica[];
}

export interface PicturedSentinel {
  readonly node: string;
  /** 40 hexadecimal digits. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly isDown: boolean;
}

export interface Picture {
  /** False before the first view. */
  readonly isKnown: boolean;
  /** A majority of the status nodes confirms the view. */
  readonly isConfirmed: boolean;
  readonly epoch: number;
  readonly masters: readonly PicturedMaster[];
  /** Every monitor with a Sentinel port, this one included. */
  readonly sentinels: readonly PicturedSentinel[];
  readonly self: string;
  readonly selfId: string;
  /** The number of monitors that are up; `quorum`: how many must agree that a silent node is down. */
  readonly usableMonitors: number;
  readonly quorum: number;
  readonly downAfterMs: number;
}

export interface PictureSource {
  readonly config: ClusterConfig;
  /** This monitor's name. */
  readonly self: string;
  readonly view: View | undefined;
  readonly isConfirmed: boolean;
}

export function pictureOf(source: PictureSource): Picture {
  const { config, self, view, isConfirmed } = source;
  const monitors = nodesOf(config, "monitor");
  const { cluster, downAfterMs } = config.settings;
  const isDead = (name: string): boolean =>
    view?.nodes.some((node) => node.name === name && node.role === "dead") ?? false;
  const sentinels = monitors.flatMap(({ name, host, sentinelPort }): PicturedSentinel[] =>
    sentinelPort === undefined
      ? []
      : [
          {
            node: name,
            id: sentinelId(cluster, name),
            host: addressOf(host),
            port: sentinelPort,
            isDown: name !== self && isDead(name),
          },
        ],
  );
  return {
    isKnown: view !== undefined,
    isConfirmed: view !== undefined && isConfirmed,
    epoch: view?.epoch ?? 0,
    masters: [...partitionMasters(source), ...routerMaster(source)],
    sentinels,
    self,
    selfId: sentinelId(cluster, self),
    usableMonitors: monitors.filter(({ name }) => name === self || !isDead(name)).length,
    quorum: majorityOf(monitors.length),
    downAfterMs,
  };
}

/** Real sentinels use random ids. This one is the same in every monitor's answers, and after a restart. */
function sentinelId(cluster: string, monitor: string): string {
  return createHash("sha1").update(`twine:${cluster}:${monitor}`).digest("hex");
}

/** Before the first view only names are known: the first node of each partition is shown as its master. */
function partitionMasters({ config, view, isConfirmed }: PictureSource): PicturedMaster[] {
  const nodes = dataNodes(config, view);
  const partitions = view?.partitions ?? unknownPartitions(config);
  return partitions.flatMap((partition) => {
    const { index, master, lastMaster } = partition;
    const own = byName([...nodes.values()].filter(({ partition: of }) => of === index));
    const shown = nodes.get(master ?? lastMaster ?? "") ?? own[0];
    // A partition without a node is being removed.
    if (shown === undefined) return [];
    const isObjectivelyDown = view !== undefined && master === null;
    return {
      ...nodeOf(shown),
      name: masterName(index),
      isSubjectivelyDown: view === undefined || !isConfirmed || isObjectivelyDown,
      isObjectivelyDown,
      isNamed: view !== undefined && isNamed(partition, nodes),
      promoting: partition.promoting ?? null,
      replicas: own.filter(({ name }) => name !== shown.name).map((node) => replicaOf(node)),
    };
  });
}

/** A last master that refuses or steps down disconnects its clients. New clients of one that hangs would wait. */
function isNamed(
  { master, lastMaster, failover }: PartitionRoles,
  nodes: ReadonlyMap<string, DataNodeSeen>,
): boolean {
  const mayHang = master === null && failover?.isKnownDead === false;
  return nodes.has(master ?? lastMaster ?? "") && !mayHang;
}

type Place = Pick<PicturedNode, "host" | "port"> & { readonly name: string };

function routerMaster({ config, view, isConfirmed }: PictureSource): PicturedMaster[] {
  const routers = byName<Place>(
    view === undefined
      ? nodesOf(config, "router")
      : view.nodes.filter(({ kind }) => kind === "router"),
  );
  const isUp = ({ name }: Place): boolean =>
    view?.nodes.some((node) => node.name === name && node.role !== "dead") ?? false;
  const router = routers.find(isUp) ?? routers[0];
  if (router === undefined) return [];
  const isObjectivelyDown = view !== undefined && !isUp(router);
  return [
    {
      node: router.name,
      host: addressOf(router.host),
      port: router.port,
      db: 0,
      runId: "",
      name: ROUTER_MASTER,
      isSubjectivelyDown: view === undefined || !isConfirmed || isObjectivelyDown,
      isObjectivelyDown,
      isNamed: view !== undefined && !isObjectivelyDown,
      promoting: null,
      // Other routers are not replicas: their ROLE is master.
      replicas: [],
    },
  ];
}

interface DataNodeSeen {
  readonly name: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly runId: string;
  readonly isUp: boolean;
  readonly isInSync: boolean;
}

function dataNodes(config: ClusterConfig, view: View | undefined): Map<string, DataNodeSeen> {
  const seen = new Map<string, DataNodeSeen>();
  if (view === undefined) {
    for (const { name, partition, host, port, db } of nodesOf(config, "data")) {
      const unknown = { runId: "", isUp: false, isInSync: false };
      seen.set(name, { name, partition, host, port, db, ...unknown });
    }
    return seen;
  }
  for (const { name, partition, host, port, db, runId, role, inSync } of view.nodes) {
    if (partition === null) continue;
    const isUp = role !== "dead";
    const known = { runId: runId ?? "", isUp, isInSync: isUp && inSync };
    seen.set(name, { name, partition, host, port, db: db ?? 0, ...known });
  }
  return seen;
}

type PartitionRoles = Pick<
  PartitionView,
  "index" | "master" | "lastMaster" | "promoting" | "failover"
>;

function unknownPartitions(config: ClusterConfig): PartitionRoles[] {
  const roles = { master: null, lastMaster: null, promoting: null };
  return Array.from({ length: config.settings.partitions }, (_, index) => ({ index, ...roles }));
}

function nodeOf({ name, host, port, db, runId }: DataNodeSeen): PicturedNode {
  return { node: name, host: addressOf(host), port, db, runId };
}

function replicaOf(node: DataNodeSeen): PicturedReplica {
  return { ...nodeOf(node), isDown: !node.isUp, isInSync: node.isInSync };
}
