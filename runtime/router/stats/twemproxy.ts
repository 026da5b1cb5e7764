// twemproxy.ts: a snapshot in the format of twemproxy's statistics, for tools that read those. Pure.
// One pool, named after the cluster, with one server per data node:
// https://github.com/twitter/twemproxy#observability
//
// The meaning of its fields here: server_ejects counts masters that turned out not to be master any more, since a router
// ejects no node; forward_error counts requests that no node answered; in_queue is the number of unsent requests
// (buffered ones included), out_queue of unanswered ones.
import type { RouterFacts } from "./metrics.ts";
import { NO_QUEUES, type NodeFigures, type RouterSnapshot } from "../../engine/stats/snapshot.ts";

type Server = Readonly<Record<string, number>>;

const UNSPOKEN: NodeFigures = {
  partition: 0,
  counts: {
    ...{ requests: 0, requestBytes: 0, responses: 0, responseBytes: 0 },
    ...{ opened: 0, eof: 0, errors: 0, timeouts: 0 },
  },
  queues: NO_QUEUES,
  ...{ connections: 0, ejects: 0, ejectedAtUs: 0 },
};

/** One line of JSON with its newline. */
export function twemproxyStats(snapshot: RouterSnapshot, facts: RouterFacts): string {
  const { counts, levels, nodes } = snapshot;
  const names = new Set([...facts.nodeNames, ...Object.keys(nodes)]);
  const servers = [...names].map((name): [string, Server] => [
    name,
    serverOf(nodes[name] ?? UNSPOKEN),
  ]);
  const pool = {
    client_eof: counts.clientEof,
    client_err: counts.clientErrors,
    client_connections: levels.clients,
    server_ejects: Object.values(nodes).reduce((sum, { ejects }) => sum + ejects, 0),
    forward_error: counts.down + counts.uncertain,
    fragments: counts.fragments,
    ...Object.fromEntries(servers),
  };
  const stats = {
    service: "twine-router",
    source: facts.host,
    version: facts.version,
    uptime: Math.floor(facts.nowS - facts.startedAtS),
    timestamp: Math.floor(facts.nowS),
    total_connections: counts.clientsAccepted + counts.backendsOpened,
    curr_connections: levels.clients + levels.backends,
    [facts.cluster]: pool,
  };
  return `${JSON.stringify(stats)}\n`;
}

function serverOf({ counts, queues, connections, ejectedAtUs }: NodeFigures): Server {
  return {
    server_eof: counts.eof,
    server_err: counts.errors,
    server_timedout: counts.timeouts,
    server_connections: connections,
    server_ejected_at: ejectedAtUs,
    requests: counts.requests,
    request_bytes: counts.requestBytes,
    responses: counts.responses,
    response_bytes: counts.responseBytes,
    in_queue: queues.inQueue,
    in_queue_bytes: queues.inQueueBytes,
    out_queue: queues.outQueue,
    out_queue_bytes: queues.outQueueBytes,
  };
}
