// rehearse.ts: a backup is restored into a scratch cluster on this machine, as twine-restore does it, and what that then holds
// is compared with the backup. Nothing of the running cluster is touched.
//
//   backup --prepare--> partition-N.rdb --restore--> scratch cluster --its RDBs--> keys counted, hashes, functions
//                              \--------------- the same keys of both, loaded and digested ------/
import { randomInt } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { credentialsOf } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import { loadPartitioner } from "../../ports/hash-source.ts";
import type { Partitioner } from "../../ports/partitioner.ts";
import { openRedisLink } from "../../ports/redis-link.ts";
import { readChosenView } from "../../register/chosen-view.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import type { Identities } from "../encryption.ts";
import type { FoundBackup } from "../list-backups.ts";
import { dataNodesOf, reachCluster, restoreInto } from "../restore/into-cluster.ts";
import { prepareBackup, type Prepared } from "../restore/prepare.ts";
import { privateFiles } from "../restore/private-files.ts";
import { openNodeSocket } from "../../replication/node-socket.ts";
import type { FedNode } from "../restore/feed-nodes.ts";
import { sourceFunction } from "../restore/source-function.ts";
import { digestSettings, figuresDiffer, valuesDiffer } from "./compare-data.ts";
import { sampleRdb, type SampleRule } from "./sampled-rdb.ts";
import {
  startScratchCluster,
  type ScratchCluster,
  type ScratchClusterOptions,
} from "./scratch-cluster.ts";

export interface RehearseOptions extends ScratchClusterOptions {
  /** Of the running cluster: its partitions and its function are those of the scratch cluster. */
  readonly config: ClusterConfig;
  readonly identities: Identities | undefined;
  readonly clock: Clock;
  /** What is being done, for people. */
  readonly onStep?: (text: string) => void;
}

export interface Rehearsal {
  readonly id: string;
  readonly tookMs: number;
  readonly partitions: number;
  readonly keys: number;
  /** Keys whose values were compared. */
  readonly compared: number;
  readonly functions: number;
  /** In words; empty: the scratch cluster held what the backup does. */
  readonly differences: readonly string[];
}

/** About so many keys of the whole backup are compared. */
const SAMPLE_KEYS = 1000;

/** Throws what prepareBackup and restoreCluster throw, and REHEARSAL_CLUSTER. */
export async function rehearse(
  { target, manifest }: FoundBackup,
  options: RehearseOptions,
): Promise<Rehearsal> {
  const { config, clock, signal, folder, onStep } = options;
  const startedAtMs = clock.nowMs();
  const partitioner = await loadPartitioner(config);
  const source = await sourceFunction(manifest.hashing, config.file);
  let scratch: ScratchCluster | undefined;
  try {
    onStep?.(`${manifest.id}: reading and checking its files`);
    const dbs = nodesOf(config, "data");
    const prepared = await prepareBackup(target, manifest, {
      ...{
        folder,
        files: privateFiles,
        signal,
        clock,
        hashing: partitioner.hashing,
        identities: options.identities,
      },
      partitionOf: (key) => partitioner.partitionOf(key),
      dbOf: (partition) => dbs.find((node) => node.partition === partition)?.db ?? 0,
      sourcePartitionOf: source === undefined ? undefined : (key) => source.partitionOf(key),
    });
    onStep?.("starting a scratch cluster on this machine");
    scratch = await startScratchCluster(config, options);
    onStep?.("restoring into it");
    const nodes = await restored(scratch, prepared, options);
    onStep?.("comparing");
    const found = await compared(scratch, prepared, nodes, { ...options, partitioner });
    return {
      id: manifest.id,
      tookMs: clock.nowMs() - startedAtMs,
      partitions: prepared.partitions.length,
      keys: prepared.partitions.reduce((sum, { keys }) => sum + keys, 0),
      ...found,
    };
  } finally {
    await scratch?.end();
    await source?.close();
    await partitioner.close();
  }
}

async function restored(
  { config, password }: ScratchCluster,
  prepared: Prepared,
  { clock, signal }: RehearseOptions,
): Promise<readonly FedNode[]> {
  const ports = { openSocket: openNodeSocket, files: privateFiles };
  const cluster = { config, password, tls: undefined, clock, signal, ...ports };
  const view = await readChosenView({
    ...{ config, password, clock, openLink: openRedisLink, user: "app" },
  });
  const { ready } = await reachCluster(cluster, view, prepared);
  try {
    await restoreInto(cluster, view, { prepared, ready });
  } finally {
    for (const { socket } of ready) socket.destroy();
  }
  return dataNodesOf(view);
}

/** Partition by partition, so that of one alone the sample lies in memory. */
async function compared(
  { password }: ScratchCluster,
  prepared: Prepared,
  nodes: readonly FedNode[],
  options: RehearseOptions & { readonly partitioner: Pick<Partitioner, "partitionOf"> },
): Promise<Pick<Rehearsal, "compared" | "functions" | "differences">> {
  const { clock, signal, partitioner } = options;
  const keys = prepared.partitions.reduce((sum, one) => sum + one.keys, 0);
  const chosen = { seed: randomInt(2 ** 32), share: SAMPLE_KEYS / Math.max(keys, SAMPLE_KEYS) };
  const folder = join(options.folder, "compared");
  await mkdir(folder, { mode: 0o700 });
  const ports = { folder, clock, signal };
  const settings = await digestSettings(ports);
  const differences: string[] = [];
  let [count, functions] = [0, 0];
  for (const { partition, path } of prepared.partitions) {
    const own = join(folder, String(partition));
    await mkdir(own, { mode: 0o700 });
    const sampled = async (name: string, chunks: AsyncIterable<Buffer>) => {
      const rule: SampleRule = {
        ...{ ...chosen, nowMs: Date.parse(clock.wallTime()) },
        isMisplaced: (key) => {
          const own = partitioner.partitionOf(key);
          if (typeof own === "number") return own !== partition;
          return own.then((found) => found !== partition);
        },
      };
      const file = join(own, `${name}.rdb`);
      return { sampled: await sampleRdb(chunks, file, rule), path: file };
    };
    const node = nodes.find((one) => one.partition === partition);
    if (node === undefined) throw new Error(`the scratch cluster has no partition ${partition}`);
    const credentials = credentialsOf("monitor", password);
    const stream = openRdbStream(node, { credentials, signal, clock });
    // The backup second: what has expired until then may be missing in the other.
    const restoredData = await sampled("restored", stream.chunks());
    const backup = await sampled("backup", createReadStream(path, { signal }));
    const wrong = [
      ...figuresDiffer(backup.sampled, restoredData.sampled),
      ...(await valuesDiffer(backup, restoredData, settings, { ...ports, folder: own })),
    ];
    differences.push(...wrong.map((text) => `partition ${partition}: ${text}`));
    count += backup.sampled.sample.length;
    functions = Math.max(functions, backup.sampled.functions.length);
  }
  return { compared: count, functions, differences };
}
