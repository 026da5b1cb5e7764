// one-partition.ts: clusters of real processes that serve one test, and the smallest twine.conf that shows a change of master.
import { onTestFinished } from "vitest";
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
  const numbered = (count: number, lineOf: (number: number) => string): string[] =>
    Array.from({ length: count }, (_, at) => lineOf(at + 1));
  return [
    "partitions 1",
    ...numbered(counts.dataNodes, (number) => `a${number}=data 0 localhost {a${number}} 0`),
    "s1=status localhost {s1} 0",
    ...numbered(counts.monitors, (number) => `m${number}=monitor localhost {m${number}}`),
    "r1=router localhost {r1}",
    ...lines,
    "",
  ].join("\n");
}

/** Set up, started and `OK`; it ends with the test. `conf` as FaultCluster.create takes it. */
export async function startedCluster(conf: string): Promise<FaultCluster> {
  const cluster = await FaultCluster.create(conf);
  onTestFinished(() => cluster.remove());
  await cluster.start();
  return cluster;
}

/** A client of the router r1 that never stops writing. */
export async function startedWriter(cluster: FaultCluster): Promise<PipelinedWriter> {
  const writer = new PipelinedWriter(cluster.port("r1"), "key");
  await writer.start();
  return writer;
}
