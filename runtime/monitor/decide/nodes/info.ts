// info.ts: the fields of Redis's INFO that the deciders need. Pure.
// INFO still uses the word slave; this file translates it.
// https://redis.io/docs/latest/commands/info/ lists the fields.
import { addressOf } from "../../../core/cluster.ts";
import { infoFields } from "../../../resp/info-fields.ts";

/** One line of a master's list of replicas. */
export interface ListedReplica {
  readonly ip: string;
  readonly port: number;
  readonly isOnline: boolean;
}

export interface NodeInfo {
  readonly runId: string;
  readonly role: "master" | "replica";
  /** The master that a replica follows, as given to REPLICAOF; null for a master. */
  readonly following: { readonly host: string; readonly port: number } | null;
  /** A replica's link is up and no full sync is running. */
  readonly isLinkUp: boolean;
  /** A full sync is running. */
  readonly isSyncing?: boolean;
  readonly replicationId: string;
  /** The history that it followed before it became master; `secondOffset` is the first offset after it. Absent: none. */
  readonly replicationId2?: string;
  readonly secondOffset?: number;
  /** Bytes of the replication stream that this node has. */
  readonly offset: number;
  /** A master whose offset does not count its writes, so that it seems to have taken none. Redis 7.0 counts only while it
      has a backlog, and has none from its start until it gets a replica or follows a master. */
  readonly isUncounted?: boolean;
  /** It is reading its data from disk and can't answer yet. */
  readonly isLoading: boolean;
  /** A full sync has dropped this node's data and is not complete: its replication id and keys prove nothing. Redis sets
      the stream's offset to 1 when it drops the data, and corrects it when the new data is complete. A transfer that breaks
      before the drop leaves data, id and offset unchanged (tried on 7.0.15, from disk and diskless). */
  readonly isEmptied: boolean;
  /** The end of the history of a replica whose `offset` means nothing, because Redis has discarded its link's state. Redis
      6.2 does so when its master stepped down: the master disconnects, and answers PSYNC with MASTERDOWN. The data may be
      whole or dropped: `isEmptied` is true too. Absent otherwise. */
  readonly keptOffset?: number;
  /** The last write of the AOF and the last save of the RDB succeeded. */
  readonly isDiskWell: boolean;
  /** Why it accepts no writes, or no clients; absent when it accepts both. */
  readonly refusal?: WriteRefusal;
  /** The largest command or reply, in bytes, that it received or sent within the last seconds; absent below
      LARGE_VALUE_BYTES. */
  readonly largeValueBytes?: number;
  /** The number of refused commands since its start, by the first word of the error; only counts above 0. */
  readonly refusedCounts?: Readonly<Partial<Record<CountedRefusal, number>>>;
  /** At its start it loads its append only file, and no dump.rdb. */
  readonly isAppendOnly?: boolean;
  /** Its append only file is being rewritten, or the last rewrite failed: a restart may bring less. Absent otherwise. */
  readonly isAofBehind?: boolean;
  /** For example "redis 7.0.15"; absent when it reports none. */
  readonly version?: string;
  /** In all dbs together. */
  readonly keys: number;
  /** A master's replicas. */
  readonly replicas: readonly ListedReplica[];
}

/** aof, rdb: the disk failed. clients: maxclients is reached. memory: maxmemory is reached and nothing may be evicted. */
export interface WriteRefusal {
  readonly kind: "aof" | "rdb" | "clients" | "memory";
  /** The limit that is reached; empty for aof and rdb. */
  readonly limit: string;
}

export const COUNTED_REFUSALS = ["OOM", "NOREPLICAS", "MISCONF"] as const;
export type CountedRefusal = (typeof COUNTED_REFUSALS)[number];

/** The address for REPLICAOF that detaches a node: nothing listens there. */
export const NOWHERE = { host: "127.0.0.1", port: 1 } as const;

/** Whether a node is detached: it takes no writes and no stream, so its data can't change. */
export function isDetached({ following }: Pick<NodeInfo, "following">): boolean {
  return following?.host === NOWHERE.host && following.port === NOWHERE.port;
}

/** Whether a replica follows a master that is not one of `nodes`. */
export function isForeign(
  { following }: Pick<NodeInfo, "following">,
  nodes: readonly { readonly host: string; readonly port: number }[],
): boolean {
  if (following === null || isDetached({ following })) return false;
  return !nodes.some(
    ({ host, port }) => port === following.port && addressOf(host) === following.host,
  );
}

/** The sections that the deciders need. Redis before 7 accepts only one section, so it is asked for all. */
export const INFO_SECTIONS = [
  "server",
  "clients",
  "memory",
  "replication",
  "persistence",
  "errorstats",
  "keyspace",
] as const;

/** Parses a reply of INFO; undefined when it lacks run_id, role or master_replid. */
export function parseInfo(text: string): NodeInfo | undefined {
  const fields = infoFields(text);
  const runId = fields.get("run_id");
  const role = fields.get("role");
  const replicationId = fields.get("master_replid");
  if (runId === undefined || role === undefined || replicationId === undefined) return undefined;
  const isMaster = role === "master";
  const offset = fields.get(isMaster ? "master_repl_offset" : "slave_repl_offset");
  return {
    runId,
    role: isMaster ? "master" : "replica",
    following: isMaster
      ? null
      : { host: fields.get("master_host") ?? "", port: Number(fields.get("master_port")) },
    isLinkUp:
      fields.get("master_link_status") === "up" && fields.get("master_sync_in_progress") !== "1",
    ...(fields.get("master_sync_in_progress") === "1" ? { isSyncing: true } : {}),
    replicationId,
    ...secondHistoryOf(fields),
    offset: Number(offset ?? 0),
    ...(isMaster && fields.get("repl_backlog_active") === "0" ? { isUncounted: true } : {}),
    isLoading: fields.get("loading") === "1" || fields.get("async_loading") === "1",
    isEmptied: !isMaster && isEmptied(fields),
    ...optional("keptOffset", isMaster ? undefined : keptOffsetOf(fields)),
    isDiskWell: diskRefusalOf(fields) === undefined,
    ...optional("refusal", diskRefusalOf(fields) ?? limitReached(fields)),
    ...optional("largeValueBytes", largeValueOf(fields)),
    ...optional("refusedCounts", refusedCountsOf(fields)),
    ...(fields.get("aof_enabled") === "1" ? { isAppendOnly: true } : {}),
    ...(isAofBehind(fields) ? { isAofBehind: true } : {}),
    ...optional("version", versionOf(fields)),
    keys: keysOf(fields),
    replicas: isMaster ? replicasOf(fields) : [],
  };
}

function isAofBehind(fields: ReadonlyMap<string, string>): boolean {
  if (fields.get("aof_enabled") !== "1") return false;
  const isAtWork =
    fields.get("aof_rewrite_in_progress") === "1" || fields.get("aof_rewrite_scheduled") === "1";
  return isAtWork || fields.get("aof_last_bgrewrite_status") === "err";
}

function optional<K extends string, V>(
  name: K,
  value: V | undefined,
): Readonly<Partial<Record<K, V>>> {
  const field: Partial<Record<K, V>> = {};
  if (value !== undefined) field[name] = value;
  return field;
}

/**
 * A process that loaded its AOF and never had a stream is not emptied: Redis 8.2 takes the offset of the whole history from
 * the AOF, while the stream's offset is 1 until there is a stream (tried on 8.2.3; before 8.2 both are 0). After a stream
 * or a promotion one of the two fields in `hadStream` shows it.
 */
function isEmptied(fields: ReadonlyMap<string, string>): boolean {
  const streamOffset = Number(fields.get("slave_repl_offset") ?? 0);
  if (streamOffset > 1 || Number(fields.get("master_repl_offset") ?? 0) <= 1) return false;
  const hadStream =
    fields.get("master_link_down_since_seconds") !== "-1" ||
    /[1-9a-f]/.test(fields.get("master_replid2") ?? "");
  return hadStream || fields.get("aof_enabled") !== "1";
}

function keptOffsetOf(fields: ReadonlyMap<string, string>): number | undefined {
  const kept = Number(fields.get("master_repl_offset") ?? 0);
  const isDiscarded = Number(fields.get("slave_repl_offset") ?? 0) <= 1 && kept > 1;
  return isDiscarded && fields.get("master_sync_in_progress") !== "1" ? kept : undefined;
}

function diskRefusalOf(fields: ReadonlyMap<string, string>): WriteRefusal | undefined {
  if (fields.get("aof_last_write_status") === "err") return { kind: "aof", limit: "" };
  if (fields.get("rdb_last_bgsave_status") === "err") return { kind: "rdb", limit: "" };
  return undefined;
}

/** INFO has maxclients since Redis 7.0. A replica uses a connection too, but connected_clients does not count it. Buffers
    of replicas and the AOF don't count for maxmemory. */
function limitReached(fields: ReadonlyMap<string, string>): WriteRefusal | undefined {
  const numberOf = (name: string): number => Number(fields.get(name) ?? 0);
  const clientsMax = numberOf("maxclients");
  if (
    clientsMax > 0 &&
    numberOf("connected_clients") + numberOf("connected_slaves") >= clientsMax
  ) {
    return { kind: "clients", limit: `${clientsMax}` };
  }
  const memoryMax = numberOf("maxmemory");
  const counted = numberOf("used_memory") - numberOf("mem_not_counted_for_evict");
  const isFull = memoryMax > 0 && counted >= memoryMax;
  return isFull && fields.get("maxmemory_policy") === "noeviction"
    ? { kind: "memory", limit: fields.get("maxmemory_human") ?? `${memoryMax}` }
    : undefined;
}

/** A smaller value does not block a node for long. */
const LARGE_VALUE_BYTES = 16 * 2 ** 20;

/** Redis reports its clients' largest buffers of the last eight seconds. */
function largeValueOf(fields: ReadonlyMap<string, string>): number | undefined {
  const bytesOf = (what: string): number => Number(fields.get(`client_recent_max_${what}`) ?? 0);
  const bytes = Math.max(bytesOf("input_buffer"), bytesOf("output_buffer"));
  return bytes >= LARGE_VALUE_BYTES ? bytes : undefined;
}

/** errorstat_OOM:count=3 */
function refusedCountsOf(fields: ReadonlyMap<string, string>): NodeInfo["refusedCounts"] {
  const counts: Partial<Record<CountedRefusal, number>> = {};
  for (const word of COUNTED_REFUSALS) {
    const count = Number(/count=(\d+)/.exec(fields.get(`errorstat_${word}`) ?? "")?.[1] ?? 0);
    if (count > 0) counts[word] = count;
  }
  return Object.keys(counts).length === 0 ? undefined : counts;
}

/** Valkey reports both: redis_version is the version with which it is compatible. */
function versionOf(fields: ReadonlyMap<string, string>): string | undefined {
  const valkey = fields.get("valkey_version");
  const redis = fields.get("redis_version");
  const version = valkey === undefined ? redis : valkey;
  if (version === undefined || !/^[\w.-]{1,32}$/.test(version)) return undefined;
  return `${valkey === undefined ? "redis" : "valkey"} ${version}`;
}

/** In a node that never changed its history master_replid2 is all zeros and second_repl_offset is -1. */
function secondHistoryOf(
  fields: ReadonlyMap<string, string>,
): Pick<NodeInfo, "replicationId2" | "secondOffset"> {
  const replicationId2 = fields.get("master_replid2") ?? "";
  const secondOffset = Number(fields.get("second_repl_offset") ?? -1);
  if (!/[1-9a-f]/.test(replicationId2) || secondOffset < 0) return {};
  return { replicationId2, secondOffset };
}

/** db0:keys=1,expires=0,avg_ttl=0 */
function keysOf(fields: ReadonlyMap<string, string>): number {
  let keys = 0;
  for (const [name, value] of fields) {
    if (/^db\d+$/.test(name)) keys += Number(/keys=(\d+)/.exec(value)?.[1] ?? 0);
  }
  return keys;
}

/** slave0:ip=127.0.0.1,port=6667,state=online,offset=14,lag=0 */
function replicasOf(fields: ReadonlyMap<string, string>): ListedReplica[] {
  const replicas: ListedReplica[] = [];
  for (const [name, value] of fields) {
    if (!/^slave\d+$/.test(name)) continue;
    const parts = new Map(value.split(",").map((part) => splitOnce(part)));
    replicas.push({
      ip: parts.get("ip") ?? "",
      port: Number(parts.get("port")),
      isOnline: parts.get("state") === "online",
    });
  }
  return replicas;
}

function splitOnce(part: string): [string, string] {
  const equals = part.indexOf("=");
  return [part.slice(0, equals), part.slice(equals + 1)];
}
