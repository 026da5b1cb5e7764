// require-foreign.ts: what a partition may follow: a redis-server of another system that no other partition follows.
import { TwineError, usageError } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import type { SourceOptions } from "../import/source-link.ts";
import { OldMaster } from "./old-master.ts";

/** Throws PARTITION_UNKNOWN. */
export function requirePartition({ partitions }: View, partition: number): void {
  if (partitions.some(({ index }) => index === partition)) return;
  throw usageError(
    "PARTITION_UNKNOWN",
    `there is no partition ${partition}`,
    `name one from 0 to ${partitions.length - 1}`,
  );
}

/** By its run id: a server has many addresses. Throws OLD_IS_SENTINEL, OLD_IS_CLUSTER, OLD_IS_OURS, OLD_TWICE. */
export async function requireForeign(
  old: OldMaster,
  view: View,
  partition: number,
  source: SourceOptions,
): Promise<void> {
  const { runId, mode } = await old.identity();
  if (mode === "sentinel") {
    throw refused(
      "OLD_IS_SENTINEL",
      `${old.address} is a Sentinel, no server with data`,
      "name the master that it watches: SENTINEL MASTERS shows it",
    );
  }
  if (mode === "cluster") {
    throw refused(
      "OLD_IS_CLUSTER",
      `${old.address} belongs to a Redis Cluster, whose nodes can't become replicas of ours`,
      "copy the cluster with twine-load",
    );
  }
  if (runId === "") return;
  const own = view.nodes.find((node) => node.runId === runId);
  if (own !== undefined) {
    throw refused(
      "OLD_IS_OURS",
      `${old.address} is ${own.name}, a node of this cluster`,
      "name the master of the other system",
    );
  }
  for (const { index, following, cameFrom } of view.partitions) {
    const other = following ?? cameFrom ?? null;
    if (other === null || index === partition) continue;
    if ((await runIdOf(other, source)) !== runId) continue;
    throw refused(
      "OLD_TWICE",
      `partition ${index} follows ${old.address} already, and the keys of one master belong into one partition`,
      `name the master of partition ${partition}; if partition ${index} is wrong, let that one follow its own first`,
    );
  }
}

/** Undefined: it does not answer. */
async function runIdOf(
  node: { readonly host: string; readonly port: number },
  source: SourceOptions,
): Promise<string | undefined> {
  const old = await OldMaster.open(node, source).catch(() => undefined);
  try {
    return (await old?.identity().catch(() => undefined))?.runId;
  } finally {
    old?.close();
  }
}

function refused(code: string, message: string, remedy: string): TwineError {
  return new TwineError({ code, message, remedy: `nothing was changed; ${remedy}` });
}
