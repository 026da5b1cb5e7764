// with-sentinels.ts: what the Sentinels know, put into what a file says. Pure.
import type { Problem } from "../../core/errors.ts";
import type { SentinelTruth, WatchedMaster } from "./ask-sentinels.ts";
import { addressText, type ImportedCluster, type ImportedNode } from "./imported.ts";

export interface Joined {
  readonly cluster: ImportedCluster;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/**
 * A shard belongs to the watched master that has its address, among whose replicas it is, or that has its name.
 * A sentinel.conf alone: the shards are what the Sentinels watch now.
 */
export function withSentinels(
  cluster: ImportedCluster,
  { masters }: Pick<SentinelTruth, "masters">,
): Joined {
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  const shards = cluster.shards.map((shard) => {
    const watched = watchedOf(shard.name, shard.master, masters);
    const { name, at } = shard;
    if (watched === undefined) {
      errors.push({
        code: "SENTINEL_UNKNOWN_SERVER",
        message: `no Sentinel watches ${name} (${addressText(shard.master)})`,
        at,
        remedy:
          "name a Sentinel that does with --sentinel, or correct the file; without one: --offline",
      });
      return shard;
    }
    if (addressText(watched.master) !== addressText(shard.master)) {
      warnings.push({
        code: "MASTER_MOVED",
        message: `${name} is ${addressText(shard.master)} in the file, and the Sentinels know ${addressText(watched.master)} as its master`,
        at,
        remedy: "the Sentinels' is taken",
      });
    }
    return { ...shard, master: watched.master, replicas: watched.replicas };
  });
  return { cluster: { ...cluster, shards }, errors, warnings };
}

function watchedOf(
  name: string,
  node: ImportedNode,
  masters: readonly WatchedMaster[],
): WatchedMaster | undefined {
  const address = addressText(node);
  return (
    masters.find(({ master }) => addressText(master) === address) ??
    masters.find(({ replicas }) => replicas.some((replica) => addressText(replica) === address)) ??
    masters.find((watched) => watched.name === name)
  );
}
