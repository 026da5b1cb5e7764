// history.ts: whether a server still has everything up to a point of a replication history, after restarts and failovers. Pure.
// https://redis.io/docs/latest/operate/oss_and_stack/management/replication/, "Replication ID explained"
import type { HistoryMark } from "../../core/view.ts";

/** Where a server's history is now. `fields`: of INFO replication. */
export function markIn(fields: ReadonlyMap<string, string>): HistoryMark {
  return {
    replicationId: fields.get("master_replid") ?? "",
    offset: Number(fields.get("master_repl_offset") ?? 0),
  };
}

/** It lies on the same history, which may be one that was continued under another id by a promotion. */
export function continues(fields: ReadonlyMap<string, string>, mark: HistoryMark): boolean {
  if (fields.get("master_replid") === mark.replicationId) return true;
  return (
    fields.get("master_replid2") === mark.replicationId &&
    Number(fields.get("second_repl_offset") ?? -1) > mark.offset
  );
}

/** It has what was written up to the mark. */
export function has(fields: ReadonlyMap<string, string>, mark: HistoryMark): boolean {
  return continues(fields, mark) && markIn(fields).offset >= mark.offset;
}

/** How many replicas have acknowledged everything up to that offset. */
export function replicasAt(fields: ReadonlyMap<string, string>, offset: number): number {
  return [...fields].filter(([name, text]) => {
    const [, reached] = /^ip=.*,state=online,offset=(\d+)/.exec(text) ?? [];
    return /^slave\d+$/.test(name) && reached !== undefined && Number(reached) >= offset;
  }).length;
}
