// feed-at.ts: where a node's change feed goes on for somebody who has a part of its history, from what INFO says. Pure.
//
// PSYNC is sent only when it will be answered by +CONTINUE: a node that has to refuse it forks a child for a full sync.
import type { HistoryMark } from "../../core/view.ts";

export type FeedAt =
  /** PSYNC at this mark. Its offset is less than asked for where what lies behind it never got to the node: a lost branch. */
  | { readonly kind: "open"; readonly mark: HistoryMark; readonly isBranch: boolean }
  /** It may have it later: a replica that is behind, or a node that has no backlog yet. */
  | { readonly kind: "wait"; readonly why: string }
  /** It has dropped it, or has another history. */
  | { readonly kind: "gone"; readonly why: string };

/** `mine` absent: from now on. `info`: INFO replication of the node. */
export function feedAt(mine: HistoryMark | undefined, info: ReadonlyMap<string, string>): FeedAt {
  const replicationId = info.get("master_replid") ?? "";
  const numberOf = (field: string): number => Number(info.get(field) ?? NaN);
  const offset = numberOf("master_repl_offset");
  if (replicationId === "" || !(offset >= 0)) return wait("it says nothing of its replication");
  if (info.get("role") === "slave" && info.get("master_link_status") !== "up") {
    return wait("its link to its master is down");
  }
  if (info.get("role") === "master" && info.has("min_slaves_good_slaves")) {
    // A reader of a master's feed counts for min-replicas-to-write: it would take writes that no replica has.
    return wait("it is the master, and min-replicas-to-write would count the reader");
  }
  if (info.get("repl_backlog_active") !== "1") return wait("nothing has followed it yet");
  if (mine === undefined) {
    return { kind: "open", mark: { replicationId, offset }, isBranch: false };
  }
  const firstKept = numberOf("repl_backlog_first_byte_offset") - 1;
  const open = (at: number, isBranch: boolean): FeedAt =>
    at >= firstKept
      ? { kind: "open", mark: { replicationId: mine.replicationId, offset: at }, isBranch }
      : { kind: "gone", why: "it has dropped the writes that come next (repl-backlog-size)" };
  if (mine.replicationId === replicationId) {
    return mine.offset > offset ? wait("it is behind what was recorded") : open(mine.offset, false);
  }
  if (mine.replicationId === info.get("master_replid2")) {
    const branchAt = numberOf("second_repl_offset") - 1;
    return open(Math.min(mine.offset, branchAt), mine.offset > branchAt);
  }
  return { kind: "gone", why: "a restore or another master has replaced its data" };
}

function wait(why: string): FeedAt {
  return { kind: "wait", why };
}
