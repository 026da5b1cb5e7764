// cluster.ts: Twine as its own local applier runs it: four partitions, three status nodes, three monitors, one router, each
// a process of its own. Nothing is on a disk: what survives must have been replicated.
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import type { View } from "../../runtime/core/view.ts";
import { clusterConf } from "../../test/support/cluster-conf.ts";
import { FaultCluster } from "../../test/support/fault-cluster.ts";
import { runTool } from "../../test/support/run-tool.ts";
import { askPort } from "../failover/redis-process.ts";

export const PARTITIONS = 4;
export const POLICIES = ["reads", "idempotent"] as const;
export type Policy = (typeof POLICIES)[number];

export interface ClusterOptions {
  readonly policy: Policy;
  readonly ackReplicas: number;
  readonly nodesPerPartition: number;
  readonly downAfterMs: number;
}

function confOf({ policy, ackReplicas, nodesPerPartition, downAfterMs }: ClusterOptions): string {
  return clusterConf({
    ...{ partitions: PARTITIONS, nodesPerPartition, statusNodes: 3, monitors: 3, routers: 1 },
    nameOf: (partition, number) => `p${partition}n${number}`,
    lines: [
      ...["cluster router-bench", "hash-tag {}", `down-after ${downAfterMs}ms`],
      ...[`retry-unknown ${policy}`, `ack-replicas ${ackReplicas}`],
      ...['redis save ""', "redis appendonly no", "redis rdb-del-sync-files yes"],
    ],
  });
}

/** By partition, the first letter that lies in it. */
export function tagsOf(partitions: number): string[] {
  const partitionOf = builtinPartition("crc32", partitions);
  const letters = Array.from({ length: 26 }, (_, nth) => String.fromCharCode(97 + nth));
  return Array.from({ length: partitions }, (_, partition) => {
    const found = letters.find((letter) => partitionOf(Buffer.from(letter)) === partition);
    if (found === undefined) throw new Error(`no letter lies in partition ${partition}`);
    return found;
  });
}

export class BenchCluster {
  readonly options: ClusterOptions;
  readonly tags = tagsOf(PARTITIONS);
  readonly #cluster: FaultCluster;

  private constructor(options: ClusterOptions, cluster: FaultCluster) {
    this.options = options;
    this.#cluster = cluster;
  }

  /** Returns when the state is OK. */
  static async start(options: ClusterOptions): Promise<BenchCluster> {
    const cluster = await FaultCluster.create(confOf(options));
    const bench = new BenchCluster(options, cluster);
    await cluster.start().catch(async (error: unknown) => {
      await bench.stop();
      throw error;
    });
    return bench;
  }

  get routerPort(): number {
    return this.#cluster.port("r1");
  }

  async view(): Promise<View | null> {
    return this.#cluster.view();
  }

  async masterOf(partition: number): Promise<string> {
    const { master } = await this.#cluster.partition(partition);
    if (master === null) throw new Error(`partition ${partition} has no master`);
    return master;
  }

  async signal(node: string, name: NodeJS.Signals): Promise<void> {
    process.kill(await this.#cluster.pid(node), name);
  }

  kill(node: string): Promise<void> {
    return this.#cluster.kill(node);
  }

  launch(node: string): Promise<void> {
    return this.#cluster.launch(node);
  }

  /** By the tool that an operator uses; throws what it says when it fails. */
  async handOver(partition: number): Promise<void> {
    const [replica = ""] = (await this.#cluster.partition(partition)).replicas;
    const ran = await runTool("runtime", "twine-failover", this.#cluster.config.file, replica);
    if (ran.code !== 0) throw new Error(`twine-failover ${replica}: ${ran.err}`);
  }

  /** Through the router, as every client would. */
  async empty(): Promise<void> {
    await askPort(this.routerPort, "FLUSHALL");
  }

  /** Events of all monitors and the router since then, as "+MS NAME WHAT FIELDS"; the machine's clock is theirs, too. */
  timeline(since: Date): Promise<string[]> {
    return this.#cluster.timeline(since);
  }

  async stop(): Promise<void> {
    await this.#cluster.remove();
  }
}
