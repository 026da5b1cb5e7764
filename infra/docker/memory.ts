// memory.ts: how much memory each kind of container may take. Pure.
// Too little and the kernel kills a node that did nothing wrong; without a limit one node can take the host with it.
import type { ClusterConfig, NodeKind } from "../../runtime/core/cluster.ts";

const MB = 1024 ** 2;

/** The limit of one container, bytes; `dataMemoryBytes` is what a data node may take. */
export function memoryBytesOf(
  kind: NodeKind,
  { settings }: ClusterConfig,
  dataMemoryBytes: number,
): number {
  switch (kind) {
    case "data":
      return dataMemoryBytes;
    case "status":
      return 128 * MB;
    case "monitor":
      return 384 * MB;
    case "router":
      // Each of its processes may hold back hold-bytes of requests while a partition has no master.
      return 256 * MB + settings.workers * (128 * MB + settings.holdBytes);
    default:
      return kind satisfies never;
  }
}
