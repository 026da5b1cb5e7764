// info-text.ts: a simulated data node's INFO, as redis-server 7.0.15 words it.
import type { Replication } from "./replication.ts";

export interface InfoSource {
  readonly runId: string;
  readonly isLoading: boolean;
  readonly isDiskWell: boolean;
  readonly replication: Replication;
  readonly ipOf: (port: number) => string;
}

export function infoText(source: InfoSource): string {
  const { replication } = source;
  const lines = [
    "# Server",
    "redis_version:7.0.15",
    `run_id:${source.runId}`,
    "# Persistence",
    `loading:${source.isLoading ? 1 : 0}`,
    "async_loading:0",
    "rdb_last_bgsave_status:ok",
    `aof_last_write_status:${source.isDiskWell ? "ok" : "err"}`,
    "# Replication",
    ...(replication.following === null
      ? ["role:master"]
      : [
          "role:slave",
          `master_host:${replication.following.host}`,
          `master_port:${replication.following.port}`,
          `master_link_status:${replication.isLinkUp ? "up" : "down"}`,
          `master_sync_in_progress:${replication.isReceiving ? 1 : 0}`,
          `slave_repl_offset:${replication.shownOffset}`,
        ]),
    ...replicaLines(source),
    `master_replid:${replication.history.id}`,
    `master_replid2:${replication.history.secondId === "" ? "0".repeat(40) : replication.history.secondId}`,
    `master_repl_offset:${replication.history.offset}`,
    `second_repl_offset:${replication.history.secondId === "" ? -1 : replication.history.secondEnd + 1}`,
    "# Keyspace",
  ];
  const { length: keys } = replication.writes;
  if (keys > 0) lines.push(`db0:keys=${keys},expires=0,avg_ttl=0`);
  return `${lines.join("\r\n")}\r\n`;
}

function replicaLines({ replication, ipOf }: InfoSource): string[] {
  const replicas = replication.replicas();
  return [
    `connected_slaves:${replicas.length}`,
    ...replicas.map(({ port, isOnline, offset }, index) => {
      const state = isOnline ? "online" : "wait_bgsave";
      return `slave${index}:ip=${ipOf(port)},port=${port},state=${state},offset=${offset},lag=0`;
    }),
  ];
}
