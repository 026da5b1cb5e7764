// cluster.ts: what a twine.conf says, as types. Pure.
// Every node carries the place of its line, so that any later complaint can name file:line:column.
import type { SourceAt } from "./errors.ts";
import { byName } from "./natural-order.ts";

export interface DataNode {
  readonly kind: "data";
  readonly name: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly at: SourceAt;
}

export interface StatusNode {
  readonly kind: "status";
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly at: SourceAt;
}

export interface MonitorNode {
  readonly kind: "monitor";
  readonly name: string;
  readonly host: string;
  /** HTTP: /healthz, /status.json. */
  readonly port: number;
  /** Sentinel's protocol, when the line names a second port. */
  readonly sentinelPort?: number;
  readonly at: SourceAt;
}

export interface RouterNode {
  readonly kind: "router";
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** HTTP and twemproxy's statistics, when the line names a second port. */
  readonly statsPort?: number;
  readonly at: SourceAt;
}

export type ClusterNode = DataNode | StatusNode | MonitorNode | RouterNode;
export type NodeKind = ClusterNode["kind"];

export const TWEMPROXY_HASHES = [
  "one_at_a_time",
  "md5",
  "crc16",
  "crc32",
  "crc32a",
  "fnv1_64",
  "fnv1a_64",
  "fnv1_32",
  "fnv1a_32",
  "hsieh",
  "murmur",
  "jenkins",
] as const;
export type TwemproxyHash = (typeof TWEMPROXY_HASHES)[number];
export type BuiltinHash = "crc32" | "crc16" | `twemproxy-${TwemproxyHash}`;

/** `path` is as written in twine.conf, relative to twine.conf's folder. */
export type HashSetting =
  | { readonly kind: "builtin"; readonly name: BuiltinHash }
  | { readonly kind: "module"; readonly path: string }
  | { readonly kind: "executable"; readonly path: string };

/** One `redis NAME VALUE...` line: a redis.conf directive for every data node. */
export interface RedisDirective {
  readonly name: string;
  readonly value: string;
  readonly at: SourceAt;
}

/** What routers allow their clients, each per process; paths as written, relative to twine.conf's folder. */
export interface RouterSettings {
  readonly maxClients: number;
  /** Of one whole command. */
  readonly commandBytesMax: number;
  /** Arguments of one command, with its name. */
  readonly commandArgsMax: number;
  /** Replies that wait for one client to take them. */
  readonly outputBytesMax: number;
  /** 0: for ever. */
  readonly idleTimeoutMs: number;
  readonly drainForMs: number;
  readonly usersFile?: string;
  /** With a certificate the routers speak TLS to their clients. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  /** Whether clients must show a certificate. */
  readonly tlsAuthClients: "no" | "optional" | "yes";
  /** Who may speak without TLS to a router that has a certificate. */
  readonly tlsPlain: "local" | "all";
  /** Whether routers speak TLS to data nodes and status nodes. */
  readonly tlsNodes: "no" | "yes";
}

export interface Settings extends RouterSettings {
  readonly cluster: string;
  readonly partitions: number;
  readonly hash: HashSetting;
  /** Opening and closing character, e.g. "{}"; absent: the whole key is hashed. */
  readonly hashTag?: string;
  readonly redis: readonly RedisDirective[];
  readonly downAfterMs: number;
  readonly leaseMs: number;
  readonly ackReplicas: number;
  readonly ackTimeoutMs: number;
  readonly readFrom: "master" | "replica";
  readonly holdForMs: number;
  readonly holdBytes: number;
  readonly retryUnknown: "reads" | "idempotent";
  readonly workers: number;
  readonly backupDirs: readonly string[];
  readonly backupEveryMs: number;
  readonly backupKeep: number;
  readonly alertMail: readonly string[];
  readonly alertSmtp: string;
  readonly alertAfterMs: number;
}

export interface ClusterConfig {
  /** The file it was read from; relative paths in settings resolve against its folder. */
  readonly file: string;
  /** In the order of the file. */
  readonly nodes: readonly ClusterNode[];
  readonly settings: Settings;
}

/** `localhost` means 127.0.0.1 everywhere: Redis and Node disagree on whether it is ::1. */
export function addressOf(host: string): string {
  return host === "localhost" ? "127.0.0.1" : host;
}

/** Whether such a node is a redis-server; the others are processes of Twine's own. */
export function runsRedis(kind: NodeKind): kind is "data" | "status" {
  return kind === "data" || kind === "status";
}

/** Nodes of one kind, first to last. */
export function nodesOf<K extends NodeKind>(
  config: ClusterConfig,
  kind: K,
): Extract<ClusterNode, { kind: K }>[] {
  const isKind = (node: ClusterNode): node is Extract<ClusterNode, { kind: K }> =>
    node.kind === kind;
  return byName(config.nodes.filter(isKind));
}

/** The hosts of the file, in the order of their first mention. */
export function hostsOf(config: ClusterConfig): string[] {
  return [...new Set(config.nodes.map((node) => node.host))];
}

/** How many of `count` make a majority. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}
