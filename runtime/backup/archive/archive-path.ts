// archive-path.ts: which runs lead from a base to a moment, partition by partition, or where the gap is. Pure.
//
//   base (a partition's RDB)        moment
//        |                            |
//   ---- run 1 ------------+-- lost branch (recorded, and never got to the master that was promoted)
//                          \-- run 2 --- run 3 -->          read backwards, from the moment to the base
//
// An id and an offset name the same bytes in every run: what two archivers recorded twice is the same. After a failover a new
// id begins at an offset up to which the old one is true; what was recorded of the old one behind it is a lost branch, which
// no path to a later moment leads through, and every path to a moment on it does.
import { headName, segmentsThrough, type SegmentName } from "./archive-names.ts";
import type { RunHead } from "./run-head.ts";

/** What one target holds of the archive. */
export interface ArchiveIndex {
  readonly heads: ReadonlyMap<string, RunHead>;
  readonly segments: readonly SegmentName[];
}

/** One partition's RDB in a backup. */
export interface Base {
  readonly replicationId: string;
  readonly offset: number;
  /** When the backup was begun: no byte behind the RDB was recorded earlier, but for the clocks' differences. */
  readonly startedAtMs: number;
}

/** The end of a path: an offset of one partition that a block of a run holds. */
export interface PathEnd {
  readonly run: string;
  readonly block: number;
  readonly offset: number;
}

/** What is read of one run. */
export interface Leg {
  readonly head: RunHead;
  readonly segments: readonly SegmentName[];
  /** Bytes of the history: those behind `from` up to `to`. */
  readonly from: number;
  readonly to: number;
}

export type Path =
  | { readonly kind: "path"; readonly legs: readonly Leg[] }
  /** It can't be gone from this base. */
  | { readonly kind: "gap"; readonly why: string };

/** Two hosts' clocks differ by less. */
const CLOCKS_MS = 10 * 60_000;

export function pathTo(index: ArchiveIndex, base: Base, partition: number, end: PathEnd): Path {
  const legs: Leg[] = [];
  const seen = new Set<string>();
  let { run, block, offset: to } = end;
  for (;;) {
    const head = index.heads.get(run);
    const start = head?.starts[partition];
    if (head === undefined || start === undefined || seen.has(run)) {
      return gap(`the head of run ${run} is missing`);
    }
    seen.add(run);
    const segments = block === 0 ? [] : segmentsThrough(index.segments, run, block);
    if (segments.length === 0 && to > start.offset) {
      return gap(`block ${block} of run ${run} is missing`);
    }
    if (base.replicationId === start.replicationId && base.offset >= start.offset) {
      if (base.offset > to) return gap("the backup was taken later, or of writes that were lost");
      const [first] = segments;
      if (first !== undefined && first.first > 1 && first.firstMs > base.startedAtMs) {
        return gap(`what run ${run} recorded before block ${first.first} is missing`);
      }
      const sinceMs = base.startedAtMs - CLOCKS_MS;
      const needed = segments.filter(({ lastMs }) => lastMs >= sinceMs);
      legs.unshift({ head, segments: needed, from: base.offset, to });
      return { kind: "path", legs };
    }
    // Else all of it is behind the place where the history of the moment left this one: nothing of it is used.
    if (to > start.offset) {
      if ((segments[0]?.first ?? 1) > 1) return gap(`the beginning of run ${run} is missing`);
      legs.unshift({ head, segments, from: start.offset, to });
    }
    const { continues } = head;
    if (continues === undefined || start.before === undefined) {
      return gap(`nothing was recorded before ${head.startedAt}: ${head.why}`);
    }
    const earlier = index.heads.get(continues.run)?.starts[partition];
    if (earlier !== undefined && earlier.replicationId !== start.before) {
      return gap(`run ${run} does not continue ${continues.run}`);
    }
    [run, block, to] = [continues.run, continues.block, Math.min(to, start.offset)];
  }
}

function gap(why: string): Path {
  return { kind: "gap", why };
}

/** Why what this run records can't be restored from these RDBs, by partition; undefined: it can. `end`: what it has recorded. */
export function whyNoBase(
  index: ArchiveIndex,
  bases: readonly Base[],
  { run, block, offsets }: { run: string; block: number; offsets: readonly number[] },
): string | undefined {
  for (const [partition, offset] of offsets.entries()) {
    const base = bases[partition];
    if (base === undefined) return `it holds no partition ${partition}`;
    const path = pathTo(index, base, partition, { run, block, offset });
    if (path.kind === "gap") return `partition ${partition}: ${path.why}`;
  }
  return undefined;
}

/** Files that no kept backup needs: recorded before the oldest of them was begun. Heads of runs that have nothing left. */
export function unneededFiles(index: ArchiveIndex, oldestBaseStartedAtMs: number): string[] {
  const untilMs = oldestBaseStartedAtMs - CLOCKS_MS;
  const gone = index.segments.filter(({ lastMs }) => lastMs < untilMs);
  const goneNames = new Set(gone.map(({ name }) => name));
  const used = new Set(
    index.segments.filter(({ name }) => !goneNames.has(name)).map(({ run }) => run),
  );
  const newestRun = [...index.heads.keys()].toSorted().at(-1);
  // One that has recorded nothing yet may still be written.
  const heads = [...index.heads.values()].filter(
    ({ run, startedAt }) => !used.has(run) && run !== newestRun && Date.parse(startedAt) < untilMs,
  );
  return [...goneNames, ...heads.map(({ run }) => headName(run))];
}
