// cluster.ts: the types of a parsed twine.conf. Pure.
// Every node has the source location of its line, so that any later error can show file:line:column.
import type { SourceAt } from "./errors.ts";
import type { Distribution } from "./hash/distribution.ts";
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
  /** For the Sentinel protocol, if the line gives a second port. */
  readonly sentinelPort?: number;
  readonly at: SourceAt;
}

export interface RouterNode {
  readonly kind: "router";
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** For HTTP and twemproxy's statistics, if the line gives a second port. */
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
  | {
      readonly kind: "builtin";
      readonly name: BuiltinHash;
      /** How the hash becomes a partition. Absent: hash % partitions. */
      readonly distribution?: Distribution;
    }
  | { readonly kind: "module"; readonly path: string }
  | { readonly kind: "executable"; readonly path: string };

/** One `redis NAME VALUE...` line: a redis.conf directive for every data node. */
export interface RedisDirective {
  readonly name: string;
  readonly value: string;
  readonly at: SourceAt;
}

/** Limits for the clients of routers, each per router process. Paths are as in twine.conf, relative to its folder. */
export interface RouterSettings {
  readonly maxClients: number;
  /** Of one complete command. */
  readonly commandBytesMax: number;
  /** Arguments of one command, including its name. */
  readonly commandArgsMax: number;
  /** Replies buffered for one client. */
  readonly outputBytesMax: number;
  /** Replies buffered for all clients of one process. */
  readonly outputTotalBytesMax: number;
  /** 0: no timeout. */
  readonly idleTimeoutMs: number;
  /** TCP keepalive: idle time before the first probe. 0: off. */
  readonly tcpKeepaliveMs: number;
  readonly drainForMs: number;
  readonly usersFile?: string;
  /** With a certificate the routers speak TLS to their clients. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  /** Whether clients must show a certificate. */
  readonly tlsAuthClients: "no" | "optional" | "yes";
  /** Which clients may connect without TLS to a router that has a certificate. */
  readonly tlsPlain: "local" | "all";
  /** Whether routers speak TLS to data nodes and status nodes. */
  readonly tlsNodes: "no" | "yes";
}

/** Which backups are kept: the newest N, or the newest of each of the last N hours, days and weeks. */
export type KeepRule =
  | { readonly kind: "last"; readonly count: number }
  | {
      readonly kind: "periods";
      readonly hours: number;
      readonly days: number;
      readonly weeks: number;
    };

/** What restarts dead processes on each host. */
export interface SupervisorSettings {
  readonly supervisor: "none" | "monit" | "systemd";
  readonly monitEveryMs: number;
  /** Of monit's own HTTP server, on every host's localhost. */
  readonly monitPort: number;
}

/** Which programs route and which fail over: Twine's own, or twemproxy and Redis Sentinel. */
export interface StackSettings {
  /** The program of a router line. */
  readonly router: "twine" | "twemproxy";
  /** The program of a monitor line. It also assigns the roles of the data nodes. */
  readonly failover: "twine" | "sentinel";
  /** Sentinel writes the masters into this file, and twemproxy is configured from it. Absent: the router asks Sentinel. */
  readonly twemproxyStaging?: string;
}

export interface Settings extends RouterSettings, SupervisorSettings, StackSettings {
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
  /** How often the newest backup is restored into a scratch cluster. Absent: never. */
  readonly backupRehearseMs?: number;
  readonly backupKeep: KeepRule;
  readonly backupCompress: "none" | "zstd";
  /** Whether the alpha records every partition's change feed into every backup-dir. */
  readonly backupArchive: "no" | "yes";
  /** How often a cut of the whole cluster is added to the archive. */
  readonly backupCutEveryMs: number;
  /** A file with age public keys. Absent: backups are not encrypted. */
  readonly backupKey?: string;
  readonly alertMail: readonly string[];
  readonly alertSmtp: string;
  readonly alertAfterMs: number;
  /** Additional Host names that the HTTP ports accept. */
  readonly httpHosts: readonly string[];
  /** File with the token that HTTP requests must carry. Absent: no token is needed. */
  readonly httpToken?: string;
}

export interface ClusterConfig {
  /** The path of the file. Relative paths in settings resolve against its folder. */
  readonly file: string;
  /** In the order of the file. */
  readonly nodes: readonly ClusterNode[];
  readonly settings: Settings;
}

/** `localhost` means 127.0.0.1 everywhere, because Redis and Node disagree on whether it is ::1. */
export function addressOf(host: string): string {
  return host === "localhost" ? "127.0.0.1" : host;
}

/** Whether this kind of node is a redis-server. The others are processes of Twine. */
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

/** The hosts, in the order in which the file mentions them first. */
export function hostsOf(config: ClusterConfig): string[] {
  return [...new Set(config.nodes.map((node) => node.host))];
}

/** The smallest majority of `count`. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}
