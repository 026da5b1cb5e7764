// metrics.ts: a snapshot as Prometheus metrics, with the names of docs/metrics.md. Pure.
// prom-client prints the text: it accepts metric families as plain data, as cluster workers send them to their parent.
import { AggregatorRegistry } from "prom-client";
import {
  BUCKET_BOUNDS_SECONDS,
  OTHER_NAME,
  type CommandFigures,
} from "../../engine/stats/tally.ts";
import type { NodeFigures, Queues, RouterSnapshot } from "../../engine/stats/snapshot.ts";

/** Facts of the process that answers for all processes. */
export interface RouterFacts {
  readonly version: string;
  /** The router's name in twine.conf. */
  readonly name: string;
  /** The cluster's name in twine.conf. */
  readonly cluster: string;
  /** Names of the data nodes in twine.conf, in its order. */
  readonly nodeNames: readonly string[];
  readonly host: string;
  /** Seconds since 1970. */
  readonly nowS: number;
  readonly startedAtS: number;
  /** The number of processes that should run, and of restarted ones. */
  readonly workers: number;
  readonly workerRestarts: number;
  /** Log lines that this process could not write. */
  readonly logLinesDropped: number;
}

type Labels = Readonly<Record<string, string>>;

interface Value {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
}

/** One metric: name, type, help, and the function that reads its values. */
interface RouterMetric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
  readonly values: (snapshot: RouterSnapshot, facts: RouterFacts) => Value[];
}

const PREFIX = "twine_router_";

function single(
  type: "counter" | "gauge",
  name: string,
  help: string,
  read: (snapshot: RouterSnapshot, facts: RouterFacts) => number,
): RouterMetric {
  const values = (snapshot: RouterSnapshot, facts: RouterFacts): Value[] => [
    { labels: {}, value: read(snapshot, facts) },
  ];
  return { name: `${PREFIX}${name}`, type, labels: [], help, values };
}

function perCommand(
  name: string,
  help: string,
  read: (figures: CommandFigures) => number,
): RouterMetric {
  return {
    ...{ name: `${PREFIX}${name}`, type: "counter", labels: ["command"], help },
    values: ({ commands }) =>
      Object.entries(commands).map(([command, figures]) => ({
        labels: { command },
        value: read(figures),
      })),
  };
}

function perNode(
  type: "counter" | "gauge",
  name: string,
  help: string,
  read: (figures: NodeFigures) => number,
): RouterMetric {
  return {
    ...{ name: `${PREFIX}node_${name}`, type, labels: ["node", "partition"], help },
    values: ({ nodes }) =>
      Object.entries(nodes).map(([node, figures]) => ({
        labels: { node, partition: String(figures.partition) },
        value: read(figures),
      })),
  };
}

function perPartition(name: string, help: string, read: (queues: Queues) => number): RouterMetric {
  return {
    ...{ name: `${PREFIX}partition_${name}`, type: "gauge", labels: ["partition"], help },
    values: ({ partitions }) =>
      Object.entries(partitions).map(([partition, queues]) => ({
        labels: { partition },
        value: read(queues),
      })),
  };
}

const METRICS: readonly RouterMetric[] = [
  {
    ...{ name: `${PREFIX}build_info`, type: "gauge", labels: ["version", "router"] },
    help: "1, with the router's version and its name in twine.conf as labels",
    values: (_, { version, name }) => [{ labels: { version, router: name }, value: 1 }],
  },
  single("gauge", "start_time_seconds", "When the router was started, Unix time", (_, facts) => {
    return facts.startedAtS;
  }),
  single("gauge", "workers", "Processes that answer now", ({ levels }) => levels.processes),
  single("gauge", "workers_wanted", "Processes that twine.conf asks for", (_, facts) => {
    return facts.workers;
  }),
  single(
    "counter",
    "log_lines_dropped_total",
    "Lines of the router's log that could not be written, on a full disk for instance",
    (_, facts) => facts.logLinesDropped,
  ),
  single(
    "counter",
    "worker_restarts_total",
    "Workers that were started in the place of one that had died",
    (_, facts) => facts.workerRestarts,
  ),
  single(
    "gauge",
    "workers_confirmed",
    "Processes whose view a majority of the status nodes has confirmed within the lease; the others buffer writes",
    ({ levels }) => levels.confirmed,
  ),
  single(
    "gauge",
    "conf_differs",
    "Processes whose twine.conf is not the adopted one; their log says what differs",
    ({ levels }) => levels.confDiffers,
  ),
  single("counter", "cpu_seconds_total", "Processor time of all processes", ({ counts }) => {
    return counts.cpuSeconds;
  }),
  single("gauge", "memory_bytes", "Resident memory of all processes", ({ levels }) => {
    return levels.memoryBytes;
  }),
  single("gauge", "clients", "Client connections", ({ levels }) => levels.clients),
  single("counter", "clients_accepted_total", "Client connections taken", ({ counts }) => {
    return counts.clientsAccepted;
  }),
  single("counter", "client_errors_total", "Client connections that an error ended", (snapshot) => {
    return snapshot.counts.clientErrors;
  }),
  single("counter", "received_bytes_total", "Bytes that clients sent", ({ counts }) => {
    return counts.receivedBytes;
  }),
  single("counter", "sent_bytes_total", "Bytes that clients got", ({ counts }) => counts.sentBytes),
  perCommand(
    "commands_total",
    `Commands that were answered; those that no data node knows are called ${OTHER_NAME}`,
    ({ buckets }) => sumOf(buckets),
  ),
  perCommand(
    "command_errors_total",
    "Those of them that were answered with an error",
    (figures) => {
      return figures.errors;
    },
  ),
  {
    name: `${PREFIX}command_seconds`,
    type: "histogram",
    labels: ["command"],
    help: "Time from reading a command to having its reply",
    values: ({ commands }) =>
      Object.entries(commands).flatMap(([command, figures]) => histogram(command, figures)),
  },
  single(
    "counter",
    "fragments_total",
    "Parts that commands over several partitions were split into",
    ({ counts }) => counts.fragments,
  ),
  {
    ...{ name: `${PREFIX}unserved_total`, type: "counter", labels: ["error"] },
    help: "Requests that the router answered itself because no node did, by the reply's first word",
    values: ({ counts }) => [
      { labels: { error: "TWINEDOWN" }, value: counts.down },
      { labels: { error: "UNCERTAIN" }, value: counts.uncertain },
    ],
  },
  single(
    "gauge",
    "held_bytes",
    "Bytes of the buffered requests; hold-bytes bounds them per process",
    (snapshot) => {
      return snapshot.levels.bufferedBytes;
    },
  ),
  perPartition("in_queue", "Requests that were not sent yet, buffered ones included", (queues) => {
    return queues.inQueue;
  }),
  perPartition("out_queue", "Requests that were sent and not answered yet", (queues) => {
    return queues.outQueue;
  }),
  perPartition("held", "Requests that wait for a master, or for a node to take them", (queues) => {
    return queues.held;
  }),
  perNode("gauge", "connections", "Connections to the data node", ({ connections }) => connections),
  perNode(
    "counter",
    "connections_opened_total",
    "Connections to the data node that came about",
    (node) => {
      return node.counts.opened;
    },
  ),
  {
    ...{ name: `${PREFIX}node_connections_lost_total`, type: "counter" },
    labels: ["node", "partition", "why"],
    help: "Connections, or attempts, that ended: closed by the node, an error, a time that was over",
    values: ({ nodes }) =>
      Object.entries(nodes).flatMap(([node, { partition, counts }]) =>
        (["eof", "errors", "timeouts"] as const).map((why) => ({
          labels: { node, partition: String(partition), why: WHYS[why] },
          value: counts[why],
        })),
      ),
  },
  perNode(
    "counter",
    "requests_total",
    "Requests that were sent to the data node, each time that they were",
    (node) => {
      return node.counts.requests;
    },
  ),
  perNode("counter", "request_bytes_total", "Bytes of them", ({ counts }) => counts.requestBytes),
  perNode(
    "counter",
    "responses_total",
    "Replies of the data node",
    ({ counts }) => counts.responses,
  ),
  perNode("counter", "response_bytes_total", "Bytes of them", ({ counts }) => counts.responseBytes),
  perNode(
    "counter",
    "demotions_total",
    "Times that the data node was master in one view and not in the next",
    (node) => {
      return node.ejects;
    },
  ),
];

const WHYS = { eof: "closed", errors: "error", timeouts: "timeout" } as const;

/** All metrics of a router, as listed in docs/metrics.md. */
export const ROUTER_METRICS: readonly Pick<RouterMetric, "name" | "type" | "labels" | "help">[] =
  METRICS;

/** The text of all metrics, and its content type. */
export async function metricsText(
  snapshot: RouterSnapshot,
  facts: RouterFacts,
): Promise<{ readonly text: string; readonly type: string }> {
  const families = METRICS.map(({ name, type, help, values }) => ({
    ...{ name, type, help, aggregator: "sum" },
    values: values(snapshot, facts),
  }));
  const registry = AggregatorRegistry.aggregate([families]);
  return { text: await registry.metrics(), type: registry.contentType };
}

function histogram(command: string, { buckets, sumMs }: CommandFigures): Value[] {
  const name = `${PREFIX}command_seconds`;
  let count = 0;
  const values = buckets.map((inBucket, index): Value => {
    count += inBucket;
    const bound = BUCKET_BOUNDS_SECONDS[index];
    const le = bound === undefined ? "+Inf" : String(bound);
    return { labels: { le, command }, value: count, metricName: `${name}_bucket` };
  });
  return [
    ...values,
    { labels: { command }, value: sumMs / 1000, metricName: `${name}_sum` },
    { labels: { command }, value: count, metricName: `${name}_count` },
  ];
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
