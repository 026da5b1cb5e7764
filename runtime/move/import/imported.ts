// imported.ts: what the file of another system says about where keys lie, before it becomes a twine.conf. Pure.
import type { Distribution } from "../../core/hash/distribution.ts";
import type { BuiltinHash } from "../../core/cluster.ts";
import type { Problem, SourceAt } from "../../core/errors.ts";

export interface ImportedNode {
  readonly host: string;
  readonly port: number;
}

/** One partition of the twine.conf to be. */
export interface ImportedShard {
  /** As the other system calls it. */
  readonly name: string;
  /** The node that takes its writes. */
  readonly master: ImportedNode;
  readonly replicas: readonly ImportedNode[];
  readonly db: number;
  readonly at: SourceAt;
}

export interface ImportedCluster {
  readonly from: "nutcracker" | "sentinel" | "cluster";
  /** A pool's name, or what else the cluster is to be called. */
  readonly name: string;
  /** undefined: the file does not say it (Sentinel knows no keys); with one shard it does not matter. */
  readonly hash: BuiltinHash | undefined;
  readonly distribution: Distribution | undefined;
  readonly hashTag: string | undefined;
  /** In the order of the partitions' numbers. */
  readonly shards: readonly ImportedShard[];
  /** Where clients of the other system connect. */
  readonly listen: ImportedNode | undefined;
  /** Of the other system's nodes. */
  readonly password: string | undefined;
  /** A server that failed was left out, and its keys went to others meanwhile. */
  readonly isEjecting: boolean;
}

export interface Imported {
  /** Absent when there is an error. */
  readonly cluster?: ImportedCluster;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Reads `HOST:PORT`, also `[::1]:6379`; undefined when it is none. */
export function addressFrom(text: string): ImportedNode | undefined {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(found?.[3] ?? 0);
  if (found === null || port < 1 || port > 65_535) return undefined;
  return { host: found[1] ?? found[2] ?? "", port };
}

export function addressText({ host, port }: ImportedNode): string {
  return `${host}:${port}`;
}
