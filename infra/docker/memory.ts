// memory.ts: the memory limit of each kind of container. Pure.
// With too little, the kernel kills a healthy node; without a limit, one node can take down the host.
import type { ClusterConfig, NodeKind, Settings } from "../../runtime/core/cluster.ts";

const MB = 1024 ** 2;

/** The limit of one container, bytes; `dataMemoryBytes` is the limit of a data node. */
export function memoryBytesOf(
  kind: NodeKind,
  { settings }: Pick<ClusterConfig, "settings">,
  dataMemoryBytes: number,
): number {
  switch (kind) {
    case "data":
      return dataMemoryBytes;
    case "status":
      return 128 * MB;
    case "monitor":
      return 384 * MB + playedPartitions(settings) * dataMemoryBytes;
    case "router":
      // Each of its processes may buffer hold-bytes of requests while a partition has no master.
      return 256 * MB + settings.workers * (128 * MB + settings.holdBytes);
    default:
      return kind satisfies never;
  }
}

/**
 * As many partitions as redis-servers beside the monitor hold at once: a restore runs one up to its cut; a rehearsal holds all
 * of them, and one a second time.
 */
function playedPartitions({ backupDirs, backupRehearseMs, partitions }: Settings): number {
  if (backupDirs.length === 0) return 0;
  return backupRehearseMs === undefined ? 1 : partitions + 1;
}
