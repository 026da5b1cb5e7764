// one-partition.ts: clusters of real processes that serve one test, and the smallest twine.conf that shows a change of master.
import { onTestFinished } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import { byLetter, clusterConf } from "./cluster-conf.ts";
import { FaultCluster } from "./fault-cluster.ts";
import { PipelinedWriter } from "./pipelined-writer.ts";

/**
 * twine.conf of one partition: data nodes a1, a2 ..., monitors m1, m2 ..., the status node s1 and the router r1, each on a
 * free port ({NAME}, as FaultCluster.create fills it in), and `lines` besides.
 */
export function onePartition(
  counts: { readonly dataNodes: number; readonly monitors: number },
  ...lines: readonly string[]
): string {
  const shape = { nodesPerPartition: counts.dataNodes, monitors: counts.monitors, routers: 1 };
  return clusterConf({ ...shape, nameOf: byLetter, lines: ["partitions 1", ...lines] });
}

/** twine.conf of partition 0 on a1, a2 and partition 1 on b1, b2, with one monitor and one status node, and `lines` besides. */
export function twoPartitions(...lines: readonly string[]): string {
  return clusterConf({
    ...{ partitions: 2, nodesPerPartition: 2, nameOf: byLetter },
    lines: ["partitions 2", ...lines],
  });
}

/** Set up, started and `OK`; it ends with the test. `conf` as FaultCluster.create takes it. */
export async function startedCluster(conf: string): Promise<FaultCluster> {
  const cluster = await FaultCluster.create(conf);
  onTestFinished(() => cluster.remove());
  await cluster.start();
  return cluster;
}

/** The alpha of a cluster with a backup-dir takes its first backup by itself, and nobody else can take one meanwhile. */
export async function firstBackup(cluster: FaultCluster): Promise<void> {
  const isTaken = (view: View): boolean => (view.backup?.lastAt ?? null) !== null;
  await cluster.viewWhere("the alpha has taken its first backup", isTaken, 90_000);
}

/** A client of the router r1 that never stops writing. */
export async function startedWriter(cluster: FaultCluster): Promise<PipelinedWriter> {
  const writer = new PipelinedWriter(cluster.port("r1"), "key");
  await writer.start();
  return writer;
}
