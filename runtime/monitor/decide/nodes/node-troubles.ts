// node-troubles.ts: problems of a data node other than its role, each with its remedy. Pure.
// The view shows them, so that twine-status names the cause of refused writes, of a replica that does not get in sync, or
// of a missing decision. A text must not contain a figure that changes by itself, because that would change the view.
import { addressOf } from "../../../core/cluster.ts";
import type { NodeTrouble, NodeView, PartitionView } from "../../../core/view.ts";
import { isFollowingOld } from "../follow/follow-action.ts";
import { isForeign, type NodeInfo, type WriteRefusal } from "./info.ts";
import type { NodeHealth } from "./node-health.ts";
import type { NodeObservation } from "./observations.ts";
import { isNewerVersion } from "../../../core/server-versions.ts";

export interface TroubleInput {
  /** The node in the next view. */
  readonly node: NodeView;
  readonly health: NodeHealth;
  readonly observation: NodeObservation | undefined;
  readonly partition: PartitionView;
  /** Every data node of the view. */
  readonly dataNodes: readonly NodeView[];
  readonly nodeHealth: ReadonlyMap<string, NodeHealth>;
  readonly downAfterMs: number;
}

/** Empty for a node that answers and works in its role. */
export function troublesOf(input: TroubleInput): NodeTrouble[] {
  const { health } = input;
  if (health.kind === "up") return troublesOfAnswering(input, health.info);
  return [...busy(input), ...silent(input)];
}

function troublesOfAnswering(input: TroubleInput, info: NodeInfo): NodeTrouble[] {
  return [
    ...refusal(input.node, info),
    ...refusedLately(input, info),
    ...foreign(input, info),
    ...olderThanMaster(input, info),
    ...notInSync(input, info),
  ];
}

function refusal(node: NodeView, info: NodeInfo): NodeTrouble[] {
  // A bad disk is shown on replicas too, which take no writes: such a node can't become master.
  if (info.refusal === undefined) return [];
  return [{ code: "WRITES_REFUSED", ...refusalText(node, info.refusal) }];
}

/** "refuses writes: ...", text that follows the node's name. */
export function refusalText(
  node: Pick<NodeView, "host" | "port">,
  { kind, limit }: WriteRefusal,
): Omit<NodeTrouble, "code"> {
  switch (kind) {
    case "aof":
      return {
        text: "refuses writes: its last write to the AOF failed",
        remedy: "free or repair the disk of its data folder; Redis then goes on by itself",
      };
    case "rdb":
      return {
        text: "refuses writes: its last RDB save failed",
        remedy: `free or repair the disk of its data folder, then ${redisCli(node)} BGSAVE`,
      };
    case "clients":
      return {
        text: `takes no more clients: maxclients (${limit}) is reached`,
        remedy: "close idle clients, or raise it in twine.conf: redis maxclients NUMBER",
      };
    case "memory":
      return {
        text: `refuses writes that need memory (OOM): maxmemory (${limit}) is reached and maxmemory-policy is noeviction`,
        remedy:
          "delete keys, or change twine.conf: redis maxmemory SIZE, or redis maxmemory-policy POLICY",
      };
  }
}

/** Errors that clients got within the last minute, if no present refusal explains them. */
function refusedLately(
  { node, observation }: TroubleInput,
  { refusal: present }: NodeInfo,
): NodeTrouble[] {
  const lately = observation?.refusedLately ?? [];
  const troubles: NodeTrouble[] = [];
  if (lately.includes("OOM") && present?.kind !== "memory") {
    troubles.push({
      code: "OOM_REFUSALS",
      text: "has refused writes because its memory is full (OOM) within the last minute",
      remedy: "delete keys, or raise it in twine.conf: redis maxmemory SIZE",
    });
  }
  if (lately.includes("NOREPLICAS") && node.role === "master") {
    troubles.push({
      code: "NOREPLICAS_REFUSALS",
      text: "has refused writes within the last minute: fewer replicas follow it than min-replicas-to-write asks for",
      remedy:
        "start its replicas: twine-start; or lower it in twine.conf: redis min-replicas-to-write",
    });
  }
  return troubles;
}

function foreign({ node, dataNodes, partition }: TroubleInput, info: NodeInfo): NodeTrouble[] {
  const { following } = info;
  if (following === null || !isForeign(info, dataNodes)) return [];
  if (isToFollow(partition, info)) return linkToOldDown(node, info);
  return [
    {
      code: "FOREIGN_MASTER",
      text: `at ${node.host}:${node.port} follows ${following.host}:${following.port}, which is no node of this cluster`,
      remedy: `to let the cluster have it: ${redisCli(node)} REPLICAOF 127.0.0.1 1`,
    },
  ];
}

function isToFollow({ following }: PartitionView, info: NodeInfo): boolean {
  return following !== undefined && following !== null && isFollowingOld(info, following);
}

function linkToOldDown(node: NodeView, info: NodeInfo): NodeTrouble[] {
  if (info.isLinkUp) return [];
  const { host, port } = info.following ?? { host: "", port: 0 };
  const [text, remedy] =
    info.isSyncing === true
      ? [`is not in sync: it copies all data of ${host}:${port}`, null]
      : [
          `is not in sync: its link to ${host}:${port} is down`,
          `start ${host}:${port}, or give its password again: twine-follow ${node.partition ?? 0} redis://${host}:${port}`,
        ];
  return [{ code: "NOT_IN_SYNC", text, remedy }];
}

/** An older replica may not understand a newer master's stream. */
function olderThanMaster(
  { node, partition, dataNodes }: TroubleInput,
  info: NodeInfo,
): NodeTrouble[] {
  if (node.role !== "replica") return [];
  const master = dataNodes.find(({ name }) => name === partition.master);
  if (!isNewerVersion(master?.version, info.version)) return [];
  return [
    {
      code: "OLDER_THAN_MASTER",
      text: `runs ${info.version ?? ""} and its master ${master?.name ?? ""} runs ${master?.version ?? ""}: it may fail to apply new commands`,
      remedy: `upgrade the server of ${node.name}, then: twine-stop ${node.name}; twine-start ${node.host}`,
    },
  ];
}

function notInSync(
  { node, partition, nodeHealth, dataNodes }: TroubleInput,
  info: NodeInfo,
): NodeTrouble[] {
  const master = dataNodes.find(({ name }) => name === partition.master);
  const masterHealth = nodeHealth.get(partition.master ?? "");
  if (node.role !== "replica" || node.inSync || master === undefined) return [];
  if (masterHealth?.kind !== "up") return [];
  const isFollower =
    info.following?.host === addressOf(master.host) && info.following.port === master.port;
  if (!isFollower || info.isLinkUp) return [];
  const [text, remedy] =
    info.isSyncing === true
      ? [`is not in sync: it copies all data of its master ${master.name}`, null]
      : [
          `is not in sync: its link to its master ${master.name} is down`,
          `read why in the log of ${node.name} (redis.log, or docker logs)`,
        ];
  return [{ code: "NOT_IN_SYNC", text, remedy }];
}

function busy({ node, observation }: TroubleInput): NodeTrouble[] {
  switch (observation?.script) {
    case undefined:
      return [];
    case "running":
      return [
        {
          code: "BUSY",
          text: "runs a script or function and answers nothing else (BUSY)",
          remedy: `${redisCli(node)} SCRIPT KILL (or FUNCTION KILL)`,
        },
      ];
    case "unkillable":
      return [
        {
          code: "BUSY",
          text: "runs a script or function that could not be ended, as when it has written, and answers nothing else (BUSY)",
          remedy: `wait for its end, or give up what it has written since its last save: ${redisCli(node)} SHUTDOWN NOSAVE`,
        },
      ];
  }
}

/** Silent to the alpha for longer than an agreement takes, while a majority of the monitors does not agree. */
function silent({ health, observation, downAfterMs }: TroubleInput): NodeTrouble[] {
  const silentForMs = observation?.silentForMs ?? 0;
  if (health.kind !== "suspect" || silentForMs < downAfterMs) return [];
  return [
    {
      code: "SILENT_TO_ALPHA",
      text: "does not answer the alpha, and no majority of the monitors says the same: it is not failed over",
      remedy:
        "check the network between the monitors and its host, and that a majority of the monitors runs",
    },
  ];
}

function redisCli({ host, port }: Pick<NodeView, "host" | "port">): string {
  return `redis-cli -h ${addressOf(host)} -p ${port}`;
}
