// shards.ts: what each node of a partition says of itself, whoever gives the roles: Sentinel or Twine's monitors.
import { setTimeout as delay } from "node:timers/promises";
import {
  addressOf,
  nodesOf,
  type ClusterConfig,
  type DataNode,
} from "../../runtime/core/cluster.ts";
import { credentialsOf, type Secret } from "../../runtime/core/credentials.ts";
import { withNode } from "../local/ask.ts";

export interface Shard {
  readonly partition: number;
  /** undefined: none, or more than one node says so. */
  readonly master: DataNode | undefined;
  readonly replicas: readonly DataNode[];
  readonly dead: readonly DataNode[];
  /** Every node runs, and all but one are replicas of that one with their link up. */
  readonly isWhole: boolean;
}

export interface ShardPorts {
  readonly config: ClusterConfig;
  readonly password: Secret | undefined;
}

const LOOK_EVERY_MS = 50;

export async function readShard(ports: ShardPorts, partition: number): Promise<Shard> {
  const nodes = nodesOf(ports.config, "data").filter((node) => node.partition === partition);
  const answers = await Promise.all(
    nodes.map(async (node) => ({ node, info: await infoOf(ports, node) })),
  );
  const masters = answers.filter(({ info }) => info?.role === "master").map(({ node }) => node);
  const master = masters.length === 1 ? masters[0] : undefined;
  const isOf = (info: Info | undefined): boolean =>
    info?.isLinkUp === true && info.masterPort === master?.port;
  return {
    ...{ partition, master },
    replicas: answers.filter(({ info }) => info?.role === "slave").map(({ node }) => node),
    dead: answers.filter(({ info }) => info === undefined).map(({ node }) => node),
    isWhole:
      master !== undefined && answers.every(({ node, info }) => node === master || isOf(info)),
  };
}

interface Info {
  readonly role: string | undefined;
  readonly isLinkUp: boolean;
  readonly masterPort: number;
}

async function infoOf(
  { password }: ShardPorts,
  { host, port }: DataNode,
): Promise<Info | undefined> {
  const node = { address: addressOf(host), port, credentials: credentialsOf("health", password) };
  try {
    const text = await withNode(node, (redis) => redis.info("replication"));
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:(.*?)\r?$`, "m").exec(text)?.[1];
    return {
      role: field("role"),
      isLinkUp: field("master_link_status") === "up" && field("master_sync_in_progress") === "0",
      masterPort: Number(field("master_port")),
    };
  } catch {
    return undefined;
  }
}

/** The first reading that `isDone` accepts; undefined when none came in time. */
export async function untilShard(
  ports: ShardPorts,
  partition: number,
  isDone: (shard: Shard) => boolean,
  { withinMs, onLook }: { readonly withinMs: number; readonly onLook?: () => void },
): Promise<Shard | undefined> {
  const endMs = performance.now() + withinMs;
  while (performance.now() < endMs) {
    const shard = await readShard(ports, partition);
    if (isDone(shard)) return shard;
    onLook?.();
    await delay(LOOK_EVERY_MS);
  }
  return undefined;
}
