// redis-metrics.ts: a data node's INFO as metrics with redis_exporter's names. Pure.
// https://github.com/oliver006/redis_exporter: its dashboards and alerts work with Twine's metrics unchanged, so the word
// slave stays in those names. Every metric also has the labels addr, node and partition.
import { infoFields } from "../../resp/info-fields.ts";
import type { Family, Labels, Metric, Sample } from "./exposition.ts";

/** A data node and its INFO; null when it did not answer. */
export interface ScrapedNode {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly partition: number;
  readonly info: string | null;
}

const NODE_LABELS = ["addr", "node", "partition"];

type Reading = (fields: ReadonlyMap<string, string>, labels: Labels) => Sample[];

interface RedisMetric extends Metric {
  readonly read: Reading;
}

/** A field of INFO that is a number, or ok (1) or err (0). */
function plain(
  type: "gauge" | "counter",
  name: string,
  field: string,
  help: string,
  factor = 1,
): RedisMetric {
  return {
    name: `redis_${name}`,
    type,
    help,
    labels: NODE_LABELS,
    read: (fields, labels) => {
      const text = fields.get(field);
      const value = text === "ok" ? 1 : text === "err" ? 0 : numberOf(text);
      return value === undefined ? [] : [{ labels, value: value * factor }];
    },
  };
}

const gauge = plain.bind(null, "gauge");
const counter = plain.bind(null, "counter");

/** One sample for each field that matches `pattern`. Its first group is the label; the value is the part `part`, "x=1". */
function perField(
  metric: Omit<Metric, "labels">,
  { pattern, label, part, factor }: PerField,
): RedisMetric {
  return {
    ...metric,
    labels: [...NODE_LABELS, label],
    read: (fields, labels) =>
      [...fields].flatMap(([field, text]) => {
        const word = pattern.exec(field)?.[1];
        const value = word === undefined ? undefined : numberOf(partsOf(text).get(part));
        if (word === undefined || value === undefined) return [];
        return [{ labels: { ...labels, [label]: word }, value: value * (factor ?? 1) }];
      }),
  };
}

interface PerField {
  readonly pattern: RegExp;
  readonly label: string;
  readonly part: string;
  readonly factor?: number;
}

const DB = { pattern: /^(db\d+)$/, label: "db" };
const COMMAND = { pattern: /^cmdstat_(.+)$/, label: "cmd" };
const ERROR = { pattern: /^errorstat_(.+)$/, label: "err" };

/** A replica's field about its master. */
function ofMaster(name: string, field: string, help: string): RedisMetric {
  return {
    name: `redis_${name}`,
    type: "gauge",
    help,
    labels: [...NODE_LABELS, "master_host", "master_port"],
    read: (fields, labels) => {
      const text = fields.get(field);
      const value = text === "up" ? 1 : text === "down" ? 0 : numberOf(text);
      if (value === undefined) return [];
      const master_host = fields.get("master_host") ?? "";
      const master_port = fields.get("master_port") ?? "";
      return [{ labels: { ...labels, master_host, master_port }, value }];
    },
  };
}

/** A master's field about each replica. */
function ofReplicas(name: string, part: string, help: string): RedisMetric {
  return {
    name: `redis_${name}`,
    type: "gauge",
    help,
    labels: [...NODE_LABELS, "slave_ip", "slave_port", "slave_state"],
    read: (fields, labels) =>
      [...fields].flatMap(([field, text]) => {
        if (!/^slave\d+$/.test(field)) return [];
        const parts = partsOf(text);
        const value = numberOf(parts.get(part));
        if (value === undefined) return [];
        const slave_ip = parts.get("ip") ?? "";
        const slave_port = parts.get("port") ?? "";
        const slave_state = parts.get("state") ?? "";
        return [{ labels: { ...labels, slave_ip, slave_port, slave_state }, value }];
      }),
  };
}

const INSTANCE_LABELS = [
  "role",
  "redis_version",
  "redis_build_id",
  "redis_mode",
  "os",
  "maxmemory_policy",
  "tcp_port",
  "run_id",
  "process_id",
];

const INSTANCE_INFO: RedisMetric = {
  name: "redis_instance_info",
  type: "gauge",
  help: "1, with what the redis-server is as labels; role is the word of INFO",
  labels: [...NODE_LABELS, ...INSTANCE_LABELS],
  read: (fields, labels) => {
    const words = INSTANCE_LABELS.map((name) => [name, fields.get(name) ?? ""] as const);
    return [{ labels: { ...labels, ...Object.fromEntries(words) }, value: 1 }];
  },
};

const UP: Metric = {
  name: "redis_up",
  type: "gauge",
  help: "1 when the data node answered this monitor's INFO, else 0",
  labels: NODE_LABELS,
};

const READ: readonly RedisMetric[] = [
  INSTANCE_INFO,
  gauge("uptime_in_seconds", "uptime_in_seconds", "Seconds since the redis-server started"),
  gauge("connected_clients", "connected_clients", "Client connections, without those of replicas"),
  gauge("blocked_clients", "blocked_clients", "Clients in a blocking command"),
  gauge("config_maxclients", "maxclients", "Connections that the redis-server takes at most"),
  gauge("memory_used_bytes", "used_memory", "Bytes that Redis has allocated"),
  gauge("memory_used_rss_bytes", "used_memory_rss", "Bytes that the process has of the machine"),
  gauge("memory_used_peak_bytes", "used_memory_peak", "The most that Redis had allocated"),
  gauge("memory_max_bytes", "maxmemory", "The setting maxmemory; 0 means no limit"),
  gauge("mem_fragmentation_ratio", "mem_fragmentation_ratio", "Resident bytes to allocated bytes"),
  gauge("loading_dump_file", "loading", "1 while the node reads its data from disk"),
  gauge(
    "rdb_changes_since_last_save",
    "rdb_changes_since_last_save",
    "Changes since the last RDB was written",
  ),
  gauge("rdb_bgsave_in_progress", "rdb_bgsave_in_progress", "1 while an RDB is written"),
  gauge(
    "rdb_last_save_timestamp_seconds",
    "rdb_last_save_time",
    "When the last RDB was written, Unix time",
  ),
  gauge("rdb_last_bgsave_status", "rdb_last_bgsave_status", "1 when the last RDB went well"),
  gauge(
    "rdb_last_bgsave_duration_sec",
    "rdb_last_bgsave_time_sec",
    "Seconds that the last RDB took; -1 before the first",
  ),
  gauge("aof_enabled", "aof_enabled", "1 when the node keeps an append only file"),
  gauge("aof_rewrite_in_progress", "aof_rewrite_in_progress", "1 while the AOF is rewritten"),
  gauge("aof_last_bgrewrite_status", "aof_last_bgrewrite_status", "1 when the last one went well"),
  gauge("aof_last_write_status", "aof_last_write_status", "1 when the last write to the AOF did"),
  gauge("aof_current_size_bytes", "aof_current_size", "Size of the AOF"),
  gauge("latest_fork_seconds", "latest_fork_usec", "Seconds that the last fork took", 1e-6),
  gauge("pubsub_channels", "pubsub_channels", "Channels with a subscriber"),
  gauge("pubsub_patterns", "pubsub_patterns", "Patterns with a subscriber"),
  gauge("connected_slaves", "connected_slaves", "Replicas connected to this node"),
  gauge("replication_backlog_bytes", "repl_backlog_size", "Size of the replication backlog"),
  gauge("master_repl_offset", "master_repl_offset", "Bytes of the replication stream so far"),
  gauge("replica_resyncs_full", "sync_full", "Full syncs that this node gave to replicas"),
  gauge(
    "replica_partial_resync_accepted",
    "sync_partial_ok",
    "Replicas that went on from where they were",
  ),
  gauge("replica_partial_resync_denied", "sync_partial_err", "Replicas that could not"),
  ofMaster("slave_repl_offset", "slave_repl_offset", "Bytes of the stream that this replica has"),
  ofMaster(
    "master_link_up",
    "master_link_status",
    "1 when this replica's link to its master is up",
  ),
  ofMaster(
    "master_last_io_seconds_ago",
    "master_last_io_seconds_ago",
    "Seconds since the master last sent anything",
  ),
  ofMaster(
    "master_sync_in_progress",
    "master_sync_in_progress",
    "1 while this replica takes a full sync",
  ),
  ofReplicas("connected_slave_offset_bytes", "offset", "Bytes that this replica has confirmed"),
  ofReplicas("connected_slave_lag_seconds", "lag", "Seconds since this replica last confirmed any"),
  counter("connections_received_total", "total_connections_received", "Connections taken"),
  counter("rejected_connections_total", "rejected_connections", "Connections over maxclients"),
  counter("commands_processed_total", "total_commands_processed", "Commands carried out"),
  counter("net_input_bytes_total", "total_net_input_bytes", "Bytes read from the network"),
  counter("net_output_bytes_total", "total_net_output_bytes", "Bytes written to the network"),
  counter("expired_keys_total", "expired_keys", "Keys that expired"),
  counter("evicted_keys_total", "evicted_keys", "Keys that were evicted because of maxmemory"),
  counter("keyspace_hits_total", "keyspace_hits", "Keys that were looked up and found"),
  counter("keyspace_misses_total", "keyspace_misses", "Keys that were looked up in vain"),
  counter("cpu_sys_seconds_total", "used_cpu_sys", "CPU time in the kernel"),
  counter("cpu_user_seconds_total", "used_cpu_user", "CPU time outside the kernel"),
  perField(
    { name: "redis_db_keys", type: "gauge", help: "Keys in this db" },
    { ...DB, part: "keys" },
  ),
  perField(
    { name: "redis_db_keys_expiring", type: "gauge", help: "Keys of this db that will expire" },
    { ...DB, part: "expires" },
  ),
  perField(
    { name: "redis_db_avg_ttl_seconds", type: "gauge", help: "How long those live on average" },
    { ...DB, part: "avg_ttl", factor: 1e-3 },
  ),
  perField(
    { name: "redis_commands_total", type: "counter", help: "Calls of this command" },
    { ...COMMAND, part: "calls" },
  ),
  perField(
    {
      name: "redis_commands_duration_seconds_total",
      type: "counter",
      help: "Time that calls of this command took",
    },
    { ...COMMAND, part: "usec", factor: 1e-6 },
  ),
  perField(
    { name: "redis_errors_total", type: "counter", help: "Replies with this error" },
    { ...ERROR, part: "count" },
  ),
];

/** Every metric of a data node, as docs/metrics.md lists them. */
export const REDIS_METRICS: readonly Metric[] = [UP, ...READ];

/** One data node's samples by metric name. A field that INFO does not have (before Redis 7, or without an answer) has no
    sample, because a zero would be wrong. */
export function redisSamplesOf(node: ScrapedNode): Map<string, Sample[]> {
  const labels = {
    addr: `${node.host}:${node.port}`,
    node: node.name,
    partition: String(node.partition),
  };
  const isUp = node.info !== null;
  const samples = new Map<string, Sample[]>([[UP.name, [{ labels, value: isUp ? 1 : 0 }]]]);
  if (node.info === null) return samples;
  const fields = infoFields(node.info);
  for (const metric of READ) samples.set(metric.name, metric.read(fields, labels));
  return samples;
}

/** The families of all data nodes, in the order of REDIS_METRICS; within a family in the order of `nodes`. */
export function redisFamilies(nodes: readonly ReadonlyMap<string, readonly Sample[]>[]): Family[] {
  return REDIS_METRICS.map((metric) => ({
    metric,
    samples: nodes.flatMap((samples) => samples.get(metric.name) ?? []),
  }));
}

/** keys=1,expires=0,avg_ttl=0 */
function partsOf(text: string): Map<string, string> {
  return new Map(
    text.split(",").flatMap((part) => {
      const equals = part.indexOf("=");
      return equals < 0 ? [] : [[part.slice(0, equals), part.slice(equals + 1)]];
    }),
  );
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d+(\.\d+)?$/.test(text)) return undefined;
  return Number(text);
}
