// take-backup.ts: a backup of the whole cluster: every partition's RDB in parallel, then the manifest.
//
//   sweep, begin in each target -> partitions, a few at once -> commit: the manifest -> what retention lets go
//                                            \-> any failure or abort: nothing of it is left
import type { KeepRule } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import type { Hashing } from "../core/hashing.ts";
import type { View } from "../core/view.ts";
import { sourcesOf, type Source } from "../replication/choose-source.ts";
import { ConsistentCut, type CutPorts, type CutResult } from "./consistent-cut.ts";
import { Copies, problemOf } from "./copies.ts";
import { mark } from "../ports/timeline.ts";
import { backupId, MANIFEST_FORMAT, printManifest } from "./manifest.ts";
import type { Manifest, SavedPartition } from "./manifest.ts";
import { pruneArchive } from "./archive/prune-archive.ts";
import { expiredOf } from "./retention.ts";
import { savePartition, type SaveOptions } from "./save-partition.ts";
import type { BackupTarget, TargetFailure } from "./targets/target.ts";

export interface BackupOptions extends SaveOptions {
  readonly cluster: string;
  /** twine.conf's text. */
  readonly conf: string;
  readonly hashing: Hashing;
  readonly view: Pick<View, "nodes" | "partitions">;
  readonly targets: readonly BackupTarget[];
  readonly keep: KeepRule;
  readonly twineVersion: string;
  /** When all is stored but the manifest; what it throws ends the backup. */
  beforeCommit?(): Promise<void>;
  /** Absent: each partition has a moment of its own. */
  readonly cutting?: CutPorts | undefined;
  /** Six hex digits that nobody else uses in this second. */
  readonly suffix: string;
}

export interface BackupTaken {
  readonly manifest: Manifest;
  /** Names of the targets that hold it. */
  readonly targets: readonly string[];
  /** Why the partitions have no moment in common though one was asked for; empty: they have, or none was. */
  readonly whyNoCut: string;
  /** Targets without a copy. */
  readonly failures: readonly TargetFailure[];
  /** Removed because the retention rule keeps them no more; by target. */
  readonly removed: ReadonlyMap<string, readonly string[]>;
  /** Older backups that could not be listed or removed. */
  readonly retentionFailures: readonly TargetFailure[];
}

/** Each forks a process at its node; more at once would gain nothing on one disk. */
const AT_ONCE = 8;

/** Throws when no target or not every partition has all of it; then no target holds anything of it. */
export async function takeBackup(options: BackupOptions): Promise<BackupTaken> {
  const { clock, cluster, suffix } = options;
  const startedAt = clock.wallTime();
  const id = backupId(cluster, startedAt, suffix);
  const copies = await Copies.begin(id, options.targets);
  const cutting = cuttingOf(copies, options);
  try {
    mark("save");
    const partitions = await saveAll(copies, options, cutting);
    mark("cut");
    const taken = await cutting?.take(async (partition) => {
      const sources = (await options.cutting?.sourcesNow(partition)) ?? [];
      partitions[partition] = await saveOne(partition, sources, copies, options, cutting);
    });
    const manifest: Manifest = {
      format: MANIFEST_FORMAT,
      id,
      cluster,
      startedAt,
      endedAt: clock.wallTime(),
      twineVersion: options.twineVersion,
      conf: options.conf,
      hashing: options.hashing,
      compression: options.compression,
      ...encryptionOf(options),
      isConsistent: options.hashing.partitions === 1 || taken?.cut !== undefined,
      ...(taken?.cut === undefined ? {} : { cut: taken.cut }),
      partitions: withFeeds(partitions, taken),
    };
    options.signal.throwIfAborted();
    mark("commit");
    await options.beforeCommit?.();
    await copies.commit(printManifest(manifest));
    const targets = copies.targets.map(({ name }) => name);
    mark("remove old ones");
    const pruned = await prune(copies.targets, options.keep, id);
    const whyNoCut = taken?.why ?? "";
    return { manifest, targets, whyNoCut, failures: copies.failures, ...pruned };
  } catch (error) {
    await cutting?.abort();
    await copies.abort();
    throw error;
  }
}

/** One partition is of one moment by itself. */
function cuttingOf(copies: Copies, options: BackupOptions): ConsistentCut | undefined {
  const { cutting, hashing } = options;
  if (cutting === undefined || hashing.partitions === 1) return undefined;
  const { sourcesNow, ask } = cutting;
  return new ConsistentCut({ ...options, copies, sourcesNow }, ask);
}

function withFeeds(
  partitions: readonly SavedPartition[],
  taken: CutResult | undefined,
): SavedPartition[] {
  return partitions.map((saved, index) => {
    const feed = taken?.feeds[index];
    return feed === undefined ? saved : { ...saved, feed };
  });
}

function saveOne(
  partition: number,
  sources: readonly Source[],
  copies: Copies,
  options: BackupOptions,
  cutting: ConsistentCut | undefined,
): Promise<SavedPartition> {
  return savePartition(partition, sources, copies, {
    ...options,
    onStart: (_, source, mark) => cutting?.start(partition, source, mark),
  });
}

function encryptionOf({ recipients }: BackupOptions): Pick<Manifest, "encryption"> {
  if (recipients === undefined) return {};
  return { encryption: { kind: "age", recipients: recipients.keys } };
}

/** Every partition, or the problems of all that failed. */
async function saveAll(
  copies: Copies,
  options: BackupOptions,
  cutting: ConsistentCut | undefined,
): Promise<SavedPartition[]> {
  const count = options.hashing.partitions;
  const saved: SavedPartition[] = [];
  const errors: unknown[] = [];
  // The others need not go on when one has failed for good.
  const abort = new AbortController();
  const signal = AbortSignal.any([options.signal, abort.signal]);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count && !signal.aborted) {
      const partition = next++;
      const sources = sourcesOf(options.view, partition);
      try {
        const own = { ...options, signal };
        saved[partition] = await saveOne(partition, sources, copies, own, cutting);
      } catch (error) {
        if (!abort.signal.aborted) errors.push(error);
        abort.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, work));
  options.signal.throwIfAborted();
  if (errors.length === 0) return saved;
  const problems = errors.flatMap((error) => (error instanceof TwineError ? error.problems : []));
  throw problems.length === errors.length ? new TwineError(problems) : errors[0];
}

/** Removes what the rule lets go, target by target. A failure is reported and ends nothing: the new backup stands. */
async function prune(
  targets: readonly BackupTarget[],
  keep: KeepRule,
  takenId: string,
): Promise<Pick<BackupTaken, "removed" | "retentionFailures">> {
  const removed = new Map<string, readonly string[]>();
  const retentionFailures: TargetFailure[] = [];
  for (const target of targets) {
    const gone: string[] = [];
    removed.set(target.name, gone);
    try {
      for (const { id } of expiredOf(await target.list(), keep, takenId)) {
        await target.remove(id);
        gone.push(id);
      }
      await pruneArchive(target);
    } catch (error) {
      retentionFailures.push({ target: target.name, problem: problemOf(error, target.name) });
    }
  }
  return { removed, retentionFailures };
}
