// picture.ts: the cluster in Sentinel's terms: masters by name, their replicas, the monitors as sentinels. Pure.
//
//   view + twine.conf --pictureOf--> Picture --answers.ts--> replies
//                                    Picture, next Picture --events.ts--> messages for subscribers
//
// Master `twine-pN` is partition N's master; `twine` is a router: the first that is up, so that all monitors name the
// same one. A view that a majority of the status nodes no longer confirms names no master: whoever asks is sent on to
// another monitor, which Sentinel's clients do by themselves. Its replicas are still named, for reads go on.
import { createHash } from "node:crypto";
import { addressOf, majorityOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { byName } from "../../core/natural-order.ts";
import type { PartitionView, View } from "../../core/view.ts";

export const ROUTER_MASTER = "twine";
const PARTITION_MASTER = "twine-p";

export interface PicturedNode {
  /** Its name in twine.conf. */
  readonly node: string;
  /** As a client connects: an address or a host name of twine.conf. */
  readonly host: string;
  readonly port: number;
  readonly db: number;
  /** Redis's run id; empty where unknown or not a redis-server. */
  readonly runId: string;
}

export interface PicturedReplica extends PicturedNode {
  readonly isDown: boolean;
  readonly isInSync: boolean;
}

export interface PicturedMaster extends PicturedNode {
  /** By which clients ask: twine-p0. */
  readonly name: string;
  /** This monitor can't say that it serves. */
  readonly isSubjectivelyDown: boolean;
  /** The view says that nobody serves; node, host and port are then those of the last that did. */
  readonly isObjectivelyDown: boolean;
  /** Its address is what clients are given: the master's, and the last one's until another serves, unless it hangs. */
  readonly isNamed: boolean;
  /** The node that the alpha is about to make master. */
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
  /** Every monitor that speaks Sentinel's protocol, this one too. */
  readonly sentinels: readonly PicturedSentinel[];
  readonly self: string;
  readonly selfId: string;
  /** Monitors that are up, and how many of them agree that a silent node is down. */
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

/** Real sentinels draw theirs at random; this one is the same in every monitor's answers, and after a restart. */
function sentinelId(cluster: string, monitor: string): string {
  return createHash("sha1").update(`twine:${cluster}:${monitor}`).digest("hex");
}

/** Before the first view the names are known and the roles are not: the first node stands for each partition. */
function partitionMasters({ config, view, isConfirmed }: PictureSource): PicturedMaster[] {
  const nodes = dataNodes(config, view);
  const partitions = view?.partitions ?? unknownPartitions(config);
  return partitions.flatMap((partition) => {
    const { index, master, lastMaster } = partition;
    const own = byName([...nodes.values()].filter(({ partition: of }) => of === index));
    const shown = nodes.get(master ?? lastMaster ?? "") ?? own[0];
    // A partition without any node is one that is being taken out.
    if (shown === undefined) return [];
    const isObjectivelyDown = view !== undefined && master === null;
    return {
      ...nodeOf(shown),
      name: `${PARTITION_MASTER}${index}`,
      isSubjectivelyDown: view === undefined || !isConfirmed || isObjectivelyDown,
      isObjectivelyDown,
      isNamed: view !== undefined && isNamed(partition, nodes),
      promoting: partition.promoting ?? null,
      replicas: own.filter(({ name }) => name !== shown.name).map((node) => replicaOf(node)),
    };
  });
}

/** A last master that refuses, or steps down, sends its clients away; one that hangs would keep whoever comes anew. */
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
      // Another router is no replica: it says of itself that it is a master, and it is.
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
