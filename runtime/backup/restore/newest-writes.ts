// newest-writes.ts: what is known of the newest writes that a restore replaces. Pure.
// Redis stores no time of a write. It counts the changes since its last snapshot, whose time it knows, and the bytes of its
// history, which a backup's manifest names too. The bytes are an upper bound: they contain signs of life as well.
// https://redis.io/docs/latest/commands/info/
import { isSameHashing, type Hashing } from "../../core/hashing.ts";
import type { HistoryMark } from "../../core/view.ts";
import { infoFields } from "../../resp/info-fields.ts";
import type { Manifest } from "../manifest.ts";

/** One node's figures, from its INFO. */
export interface NodeWrites {
  readonly isMaster: boolean;
  readonly offset: number;
  readonly replicationId: string;
  /** Of the history before the last failover, and where that ended. */
  readonly replicationId2: string;
  readonly secondOffset: number;
  /** Since its last snapshot or its start. */
  readonly changes: number;
  readonly snapshotAtMs: number;
}

export interface NewestWrites {
  /** Since `snapshotAtMs`; undefined: a node did not report it. */
  readonly changes: number | undefined;
  /** With changes: the newest write came after this. Without: no write came after this. */
  readonly snapshotAtMs: number;
  /** The newest backup; undefined: none was found. */
  readonly backup:
    | {
        readonly id: string;
        readonly at: string;
        /** What was written since, at most; undefined: the nodes' history does not contain it. */
        readonly bytesMax: number | undefined;
      }
    | undefined;
}

export type KeptBackup = Pick<Manifest, "id" | "cut" | "hashing"> & {
  readonly partitions: readonly (HistoryMark &
    Pick<Manifest["partitions"][number], "partition" | "takenAt">)[];
};

export function nodeWrites(info: string): NodeWrites {
  const fields = infoFields(info);
  const numberOf = (name: string): number => Number(fields.get(name) ?? NaN);
  return {
    isMaster: fields.get("role") === "master",
    offset: numberOf("master_repl_offset"),
    replicationId: fields.get("master_replid") ?? "",
    replicationId2: fields.get("master_replid2") ?? "",
    secondOffset: numberOf("second_repl_offset"),
    changes: numberOf("rdb_changes_since_last_save"),
    snapshotAtMs: numberOf("rdb_last_save_time") * 1000,
  };
}

/** Of the partitions of `nodes`. `newest` is the newest backup that is kept, in any layout. */
export function newestWrites(
  nodes: readonly { readonly partition: number; readonly writes: NodeWrites }[],
  newest: KeptBackup | undefined,
  hashing: Hashing,
): NewestWrites {
  const sources = [...new Set(nodes.map(({ partition }) => partition))].map((partition) => ({
    partition,
    writes: sourceAmong(nodes.filter((node) => node.partition === partition)),
  }));
  const known = sources.flatMap(({ writes }) => (writes === undefined ? [] : [writes]));
  const changed = known.filter(({ changes }) => changes > 0);
  const isKnown =
    known.length === sources.length &&
    known.every(({ changes, snapshotAtMs }) => changes >= 0 && snapshotAtMs >= 0);
  const at = (changed.length > 0 ? changed : known).map(({ snapshotAtMs }) => snapshotAtMs);
  return {
    changes: isKnown ? known.reduce((sum, { changes }) => sum + changes, 0) : undefined,
    snapshotAtMs: Math.max(...at),
    backup:
      newest === undefined
        ? undefined
        : { id: newest.id, at: momentOf(newest), bytesMax: bytesSince(newest, sources, hashing) },
  };
}

/** The master, or else the replica that has most. */
function sourceAmong(nodes: readonly { readonly writes: NodeWrites }[]): NodeWrites | undefined {
  const all = nodes.map(({ writes }) => writes);
  return (
    all.find(({ isMaster }) => isMaster) ?? all.toSorted((one, two) => two.offset - one.offset)[0]
  );
}

/** Without a cut each partition has a moment of its own: the oldest counts. */
function momentOf({ cut, partitions }: KeptBackup): string {
  return cut?.at ?? partitions.map(({ takenAt }) => takenAt).toSorted()[0] ?? "";
}

function bytesSince(
  backup: KeptBackup,
  sources: readonly { readonly partition: number; readonly writes: NodeWrites | undefined }[],
  hashing: Hashing,
): number | undefined {
  if (!isSameHashing(backup.hashing, hashing)) return undefined;
  const bytes = sources.map(({ partition, writes }) => {
    const saved = backup.partitions.find((one) => one.partition === partition);
    const mark: HistoryMark | undefined = backup.cut?.marks[partition] ?? saved;
    return writes === undefined || mark === undefined ? NaN : bytesBehind(writes, mark);
  });
  const isKnown = bytes.every((count) => count >= 0);
  return isKnown ? bytes.reduce((sum, count) => sum + count, 0) : undefined;
}

/** What the node has behind that mark; NaN when its history does not contain the mark. */
function bytesBehind(writes: NodeWrites, { replicationId, offset }: HistoryMark): number {
  const { replicationId2, secondOffset } = writes;
  const isFirst = replicationId === writes.replicationId;
  const isSecond = replicationId === replicationId2 && offset < secondOffset;
  return isFirst || isSecond ? writes.offset - offset : NaN;
}
