// stats-collect.ts: collects the present figures of this process.
import type { View } from "../../core/view.ts";
import { masterNode } from "../pipelines/pipeline-context.ts";
import type { PipelineQueues } from "../pipelines/pipeline-queues.ts";
import type { NodeCounters, RouterStats } from "./counters.ts";
import {
  addQueues,
  NO_QUEUES,
  type NodeFigures,
  type Queues,
  type RouterSnapshot,
} from "./snapshot.ts";

export interface StatsFacts {
  readonly stats: RouterStats;
  readonly queues: readonly PipelineQueues[];
  readonly view: View | undefined;
  readonly clientCount: number;
  readonly bufferedBytes: number;
  /** A majority of the status nodes has confirmed the view within the lease. */
  readonly isConfirmed: boolean;
}

export function snapshotOf(facts: StatsFacts): RouterSnapshot {
  const { stats, queues, bufferedBytes, isConfirmed } = facts;
  const nodes = [...stats.nodes.values()];
  const sum = (of: (node: NodeCounters) => number): number =>
    nodes.reduce((total, node) => total + of(node), 0);
  const { clientsAccepted, clientEof, clientErrors, receivedBytes, sentBytes, fragments } = stats;
  const { user, system } = process.cpuUsage();
  return {
    counts: {
      ...{ clientsAccepted, clientEof, clientErrors, receivedBytes, sentBytes, fragments },
      ...{ down: stats.down, uncertain: stats.uncertain },
      backendsOpened: sum(({ opened }) => opened),
      cpuSeconds: (user + system) / 1e6,
    },
    levels: {
      clients: facts.clientCount,
      backends: sum(({ connections }) => connections),
      bufferedBytes,
      memoryBytes: process.memoryUsage.rss(),
      processes: 1,
      confirmed: isConfirmed ? 1 : 0,
      // The engine has no twine.conf: its owner fills this in.
      confDiffers: 0,
    },
    commands: stats.tally.figures(),
    nodes: nodeFigures(facts),
    partitions: grouped(queues, ({ partition }) => String(partition)),
  };
}

/** All data nodes that were connected. Requests buffered without a connection count for the partition's master. */
function nodeFigures({ stats, queues, view }: StatsFacts): Record<string, NodeFigures> {
  const waiting = new Map(
    Object.entries(
      grouped(queues, ({ node, partition }) => node ?? masterNode(view, partition)?.name),
    ),
  );
  const figures = [...stats.nodes].map(([name, counters]): [string, NodeFigures] => {
    const { partition, requests, requestBytes, responseBytes, opened } = counters;
    const { eof, errors, timeouts, connections, ejects, ejectedAtUs } = counters;
    const own = waiting.get(name) ?? NO_QUEUES;
    const responses = requests - counters.lost - own.outQueue;
    const counts = { requests, requestBytes, responses, responseBytes, opened };
    return [
      name,
      {
        ...{ partition, connections, ejects, ejectedAtUs, queues: own },
        counts: { ...counts, eof, errors, timeouts },
      },
    ];
  });
  return Object.fromEntries(figures);
}

function grouped(
  queues: readonly PipelineQueues[],
  keyOf: (pipeline: PipelineQueues) => string | undefined,
): Record<string, Queues> {
  const groups = new Map<string, Queues>();
  for (const pipeline of queues) {
    const key = keyOf(pipeline);
    if (key !== undefined) groups.set(key, addQueues(groups.get(key) ?? NO_QUEUES, pipeline));
  }
  return Object.fromEntries(groups);
}
