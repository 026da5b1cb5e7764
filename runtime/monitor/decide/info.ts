// info.ts: what Redis's INFO says, cut down to what the deciders need. Pure.
// The wire still speaks of slaves; this file is where that word ends.
// https://redis.io/docs/latest/commands/info/ lists the fields.

/** One line of a master's list of replicas. */
export interface ListedReplica {
  readonly ip: string;
  readonly port: number;
  readonly isOnline: boolean;
}

export interface NodeInfo {
  readonly runId: string;
  readonly role: "master" | "replica";
  /** Whom a replica follows, as REPLICAOF was told; null for a master. */
  readonly following: { readonly host: string; readonly port: number } | null;
  /** A replica's link is up and no full sync is running. */
  readonly isLinkUp: boolean;
  readonly replicationId: string;
  /** The history that it followed before it became master, up to and without `secondOffset`; absent: none. */
  readonly replicationId2?: string;
  readonly secondOffset?: number;
  /** Bytes of the replication stream that this node has. */
  readonly offset: number;
  /** A master that counts no write into its offset, so that it looks as if it had taken none: Redis 7.0 counts only while
      it has a backlog, and has none from its start until a replica comes or it follows a master. */
  readonly isUncounted?: boolean;
  /** Reads its data from disk and can't answer yet. */
  readonly isLoading: boolean;
  /** A full sync has dropped this node's data and is not complete: its replication id and keys prove nothing. Redis
      lets the offset of the stream fall to 1 in the moment it drops its data, and puts it right when the new data is
      complete; a transfer that breaks before that leaves data, id and offset as they were (tried on 7.0.15, from disk
      and diskless). */
  readonly isEmptied: boolean;
  /** The last write of the AOF and the last save of the RDB went well. */
  readonly isDiskWell: boolean;
  /** Over all dbs: a node is empty when none of them holds a key. */
  readonly keys: number;
  /** A master's replicas. */
  readonly replicas: readonly ListedReplica[];
}

/** Where REPLICAOF sends a node that is to follow nobody: nothing listens there. */
export const NOWHERE = { host: "127.0.0.1", port: 1 } as const;

/** Whether a node is a replica of nowhere: it takes no write and no stream, so what it holds stands still. */
export function isDetached({ following }: Pick<NodeInfo, "following">): boolean {
  return following?.host === NOWHERE.host && following.port === NOWHERE.port;
}

/** The sections that the deciders need; Redis before 7 takes one section only and is asked for all. */
export const INFO_SECTIONS = ["server", "replication", "persistence", "keyspace"] as const;

/** Parses a reply of INFO; undefined when it lacks the replication section. */
export function parseInfo(text: string): NodeInfo | undefined {
  const fields = fieldsOf(text);
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
    replicationId,
    ...secondHistoryOf(fields),
    offset: Number(offset ?? 0),
    ...(isMaster && fields.get("repl_backlog_active") === "0" ? { isUncounted: true } : {}),
    isLoading: fields.get("loading") === "1" || fields.get("async_loading") === "1",
    isEmptied:
      !isMaster && Number(offset ?? 0) <= 1 && Number(fields.get("master_repl_offset") ?? 0) > 1,
    isDiskWell:
      fields.get("rdb_last_bgsave_status") !== "err" &&
      fields.get("aof_last_write_status") !== "err",
    keys: keysOf(fields),
    replicas: isMaster ? replicasOf(fields) : [],
  };
}

/** master_replid2 is all zeros and second_repl_offset -1 in a node that never changed its history. */
function secondHistoryOf(
  fields: ReadonlyMap<string, string>,
): Pick<NodeInfo, "replicationId2" | "secondOffset"> {
  const replicationId2 = fields.get("master_replid2") ?? "";
  const secondOffset = Number(fields.get("second_repl_offset") ?? -1);
  if (!/[1-9a-f]/.test(replicationId2) || secondOffset < 0) return {};
  return { replicationId2, secondOffset };
}

function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    fields.set(line.slice(0, colon), line.slice(colon + 1).trimEnd());
  }
  return fields;
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
