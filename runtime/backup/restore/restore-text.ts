// restore-text.ts: what people read of a restore: what it will overwrite, and what it did. Pure.
import { bytesText } from "../backup-text.ts";
import type { CutOff } from "./aof-rdb.ts";
import type { MomentFound } from "./chosen-source.ts";
import type { FedNode, ReadyNode } from "./feed-nodes.ts";
import type { NewestWrites } from "./newest-writes.ts";
import type { Prepared } from "./prepare.ts";

export function overwrittenText(what: {
  readonly cluster: string;
  /** How many the cluster has. */
  readonly partitions: number;
  readonly prepared: Pick<
    Prepared,
    "partitions" | "split" | "expired" | "moment" | "backup" | "cutOff"
  >;
  readonly ready: readonly Pick<ReadyNode, "partition" | "keysBefore">[];
  readonly newest: NewestWrites;
  /** --shift-ttl. */
  readonly isShifted: boolean;
}): string {
  const { cluster, ready, isShifted } = what;
  const { partitions, split, expired, cutOff = [] } = what.prepared;
  const keysNow = partitions.reduce((sum, { partition }) => {
    const own = ready.filter((node) => node.partition === partition);
    return sum + Math.max(...own.map(({ keysBefore }) => keysBefore));
  }, 0);
  const keys = partitions.reduce((sum, one) => sum + one.keys, 0);
  const bytes = partitions.reduce((sum, one) => sum + one.bytes, 0);
  const misplaced = split?.misplaced.reduce((sum, one) => sum + one.keys, 0) ?? 0;
  const { moment, backup } = what.prepared;
  const isWhole = partitions.length === what.partitions;
  const which = isWhole
    ? `all ${counted(partitions.length, "partition")}`
    : `partition ${partitions.map(({ partition }) => partition).join(", ")}`;
  const served = isWhole
    ? "no partition is served meanwhile"
    : "the other partitions do not change, and are served meanwhile";
  const lines = [
    ...(moment === undefined ? [] : [momentText(moment)]),
    ...(moment === undefined && backup !== undefined ? [`${backup.id}, of ${backup.at}`] : []),
    `cluster ${cluster}: ${counted(keysNow, "key")} of ${which} will be replaced by ` +
      `${counted(keys, "key")} (${bytesText(bytes)}); ${served}`,
    ...newestText(what.newest),
  ];
  if (misplaced > 0) lines.push(`${misplaced} misplaced keys are left out`);
  if (expired > 0 && !isShifted) {
    lines.push(`${expired} of them have expired since: --shift-ttl keeps them`);
  }
  return `${[...lines, ...cutOff.map(cutOffText)].join("\n")}\n`;
}

/** Whoever restores into the wrong cluster sees it here. */
function newestText({ changes, snapshotAtMs, backup }: NewestWrites): string[] {
  const lines: string[] = [];
  if (changes !== undefined) {
    const at = new Date(snapshotAtMs).toISOString().replace(".000Z", "Z");
    lines.push(
      changes === 0
        ? `newest write: before ${at}; the nodes count no change since`
        : `newest write: after ${at}; the nodes count ${counted(changes, "change")} since their last snapshots`,
    );
  }
  if (backup === undefined) {
    return [...lines, "newest backup: none was found; twine-backup takes one"];
  }
  const { id, at, bytesMax } = backup;
  const since =
    bytesMax === undefined
      ? "how much was written since is not known: the nodes have another history or other partitions"
      : `at most ${bytesText(bytesMax)} were written since`;
  return [...lines, `newest backup: ${id}, of ${at}; ${since}`];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Which moment a restore to a time comes to, and why to no later one. */
export function momentText({ at, backup, why }: MomentFound): string {
  return `the moment ${at}, from ${backup}${why === "" ? "" : `; nothing later can be restored: ${why}`}`;
}

function cutOffText({ file, byte, sizeBytes }: CutOff): string {
  return `${file} ends in the middle of a command: the last ${sizeBytes - byte} of its ${sizeBytes} bytes are left out`;
}

export function doneText(what: {
  readonly prepared: Prepared;
  readonly ready: readonly Pick<FedNode, "node">[];
  /** Nodes that did not answer. */
  readonly away: readonly Pick<FedNode, "node">[];
  readonly isJson: boolean;
}): string {
  const { partitions, expired, cutOff = [], moment } = what.prepared;
  const keys = partitions.reduce((sum, one) => sum + one.keys, 0);
  const [nodes, away] = [what.ready, what.away].map((list) => list.map(({ node }) => node));
  if (what.isJson) {
    return `${JSON.stringify({ ok: true, keys, expired, cutOff, moment, nodes, away })}\n`;
  }
  const missing =
    away === undefined || away.length === 0
      ? ""
      : `${away.join(", ")} did not answer; the monitors sync them when they come back\n`;
  return `${keys} keys were restored on ${nodes?.length ?? 0} nodes\n${missing}`;
}
