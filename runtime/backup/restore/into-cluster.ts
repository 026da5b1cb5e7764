// into-cluster.ts: prepared RDBs into a running cluster: its nodes are reached and asked whether they can load them, then all
// of them take the data or none does (restore-cluster.ts).
import { hostname } from "node:os";
import { randomUUID } from "node:crypto";
import { addressOf, type ClusterConfig } from "../../core/cluster.ts";
import { credentialsOf, type Secret } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { openRedisLink } from "../../ports/redis-link.ts";
import { readChosenView } from "../../register/chosen-view.ts";
import { openSharedHashes } from "../../register/shared-hashes.ts";
import { newReplicationId } from "../../replication/fake-master.ts";
import {
  reachNodes,
  type FedNode,
  type FeedOptions,
  type OpenNode,
  type ReadyNode,
} from "./feed-nodes.ts";
import type { Prepared } from "./prepare.ts";
import type { PrivateFiles } from "./private-files.ts";
import { restoreCluster, type RestoreProgress } from "./restore-cluster.ts";

export interface ClusterPorts {
  readonly config: ClusterConfig;
  readonly password: Secret | undefined;
  /** Of connections to its nodes. */
  readonly tls: LinkTls | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly openSocket: OpenNode;
  /** Where the prepared RDBs lie. */
  readonly files: PrivateFiles;
}

export interface ReachedNodes {
  readonly ready: readonly ReadyNode[];
  /** They did not answer; the monitors sync them when they come back. */
  readonly away: readonly FedNode[];
}

const STALLED_MS_MAX = 60_000;

export function dataNodesOf(view: View): FedNode[] {
  return view.nodes.flatMap(({ name, kind, partition, host, port, db }) =>
    kind === "data" && partition !== null
      ? [{ node: name, partition, host: addressOf(host), port, db: db ?? 0 }]
      : [],
  );
}

/** Throws NODE_CANT_LOAD, PARTITION_UNAVAILABLE. The caller destroys the sockets of what is ready. */
export async function reachCluster(
  ports: ClusterPorts,
  view: View,
  prepared: Pick<Prepared, "format" | "partitions">,
): Promise<ReachedNodes> {
  const isRestored = restoredIn(prepared);
  const nodes = dataNodesOf(view).filter(({ partition }) => isRestored(partition));
  const reached = await reachNodes(nodes, prepared.format, feedOptions(ports));
  const missing = view.partitions.filter(
    ({ index }) => isRestored(index) && !reached.ready.some(({ partition }) => partition === index),
  );
  if (missing.length === 0) return reached;
  for (const { socket } of reached.ready) socket.destroy();
  throw new TwineError(
    missing.map(({ index }) => ({
      code: "PARTITION_UNAVAILABLE",
      message: `no node of partition ${index} (${namesOf(nodes, index)}) answers`,
      remedy: "nothing was changed; start its nodes (twine-start), and restore again",
    })),
  );
}

function namesOf(nodes: readonly FedNode[], index: number): string {
  const own = nodes.filter(({ partition }) => partition === index);
  return own.map(({ node }) => node).join(", ");
}

/** Whether a partition is among what is restored. */
function restoredIn({ partitions }: Pick<Prepared, "partitions">): (index: number) => boolean {
  return (index) => partitions.some(({ partition }) => partition === index);
}

/** Throws as restoreCluster() does. */
export async function restoreInto(
  ports: ClusterPorts,
  view: View,
  what: {
    readonly prepared: Prepared;
    readonly ready: readonly ReadyNode[];
    readonly onProgress?: (progress: RestoreProgress) => void;
  },
): Promise<void> {
  const { config, password, clock } = ports;
  const isRestored = restoredIn(what.prepared);
  const status = { config, password, clock, openLink: openRedisLink };
  const board = openSharedHashes({ ...status, user: "monitor" });
  try {
    await restoreCluster({
      ...feedOptions(ports),
      board,
      readView: () => readChosenView({ ...status, user: "app" }),
      view,
      prepared: what.prepared.partitions,
      nodes: what.ready,
      replicationIds: view.partitions.map(({ index }) =>
        isRestored(index) ? newReplicationId() : "",
      ),
      token: randomUUID(),
      by: `process ${process.pid} on ${hostname()}`,
      newId: randomUUID,
      ...(what.onProgress === undefined ? {} : { onProgress: what.onProgress }),
    });
  } finally {
    await board.close();
  }
}

function feedOptions({ password, tls, ...ports }: ClusterPorts): FeedOptions {
  const { clock, signal, openSocket, files } = ports;
  return {
    ...{ clock, openSocket, files },
    credentials: credentialsOf("monitor", password),
    replicaCredentials: credentialsOf("replica", password),
    tls,
    signal,
    stalledMsMax: STALLED_MS_MAX,
  };
}
