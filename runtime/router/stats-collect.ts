// stats-collect.ts: the figures of this process at this moment.
import type { View } from "../core/view.ts";
import { masterNode } from "./lanes/lane-context.ts";
import type { LaneQueues } from "./lanes/lane-queues.ts";
import type { NodeCounters, RouterStats } from "./stats/counters.ts";
import {
  addQueues,
  NO_QUEUES,
  type NodeFigures,
  type Queues,
  type RouterSnapshot,
} from "./stats/snapshot.ts";

export interface StatsFacts {
  readonly stats: RouterStats;
  readonly queues: readonly LaneQueues[];
  readonly view: View | undefined;
  readonly clientCount: number;
  readonly heldBytes: number;
  /** A majority of the status nodes has confirmed the view within the lease. */
  readonly isConfirmed: boolean;
}

export function snapshotOf(facts: StatsFacts): RouterSnapshot {
  const { stats, queues, heldBytes, isConfirmed } = facts;
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
      heldBytes,
      memoryBytes: process.memoryUsage.rss(),
      processes: 1,
      confirmed: isConfirmed ? 1 : 0,
    },
    commands: stats.tally.figures(),
    nodes: nodeFigures(facts),
    partitions: grouped(queues, ({ partition }) => String(partition)),
  };
}

/** Every data node that was spoken to. What waits for a partition's master without a connection waits for its node. */
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
  queues: readonly LaneQueues[],
  keyOf: (lane: LaneQueues) => string | undefined,
): Record<string, Queues> {
  const groups = new Map<string, Queues>();
  for (const lane of queues) {
    const key = keyOf(lane);
    if (key !== undefined) groups.set(key, addQueues(groups.get(key) ?? NO_QUEUES, lane));
  }
  return Object.fromEntries(groups);
}
