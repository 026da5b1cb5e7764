// choose-moment.ts: the moment that a restore to a time comes to: the last cut at or before it to which a backup and the archive
// lead, or for one partition alone the last block.
//
//   each target: cuts from the time backwards -> a backup from which every partition's path leads there   -> the latest of all
//                                             \-> a backup whose own moment is later than that
import type { Cut } from "../../core/cut.ts";
import { errorText } from "../../core/error-text.ts";
import { TwineError, type Problem } from "../../core/errors.ts";
import { parseManifest, type Manifest } from "../manifest.ts";
import type { ArchiveStore, BackupTarget } from "../targets/target.ts";
import { headersOf, withIndex } from "./archive-index.ts";
import type { SegmentName } from "./archive-names.ts";
import { pathTo, type ArchiveIndex, type Leg } from "./archive-path.ts";
import { basesOf } from "./target-archive.ts";

export interface Moment {
  readonly target: BackupTarget;
  readonly manifest: Manifest;
  /** ISO 8601. */
  readonly at: string;
  /** By partition, what is read of the archive; undefined: the backup alone is that moment. */
  readonly legs: readonly (readonly Leg[])[] | undefined;
  /** Why a later moment could not be had; empty: there is none, as far as the archive goes. */
  readonly why: string;
}

export interface MomentQuery {
  /** Unix milliseconds; Infinity: the latest. */
  readonly toMs: number;
  /** Absent: all, at one moment. */
  readonly partition?: number | undefined;
  /** Only from the backup of this id. */
  readonly baseId?: string | undefined;
  readonly signal: AbortSignal;
}

/** A cut is written some seconds after its moment. */
const WRITTEN_MS = 60_000;

/** Throws MOMENT_UNKNOWN, or why no target can be read. */
export async function chooseMoment(
  targets: readonly BackupTarget[],
  query: MomentQuery,
): Promise<Moment> {
  const found: Moment[] = [];
  const problems: Problem[] = [];
  let why = "";
  for (const target of targets) {
    try {
      const chosen = await momentIn(target, query);
      if (typeof chosen === "string") why = chosen;
      else found.push(chosen);
    } catch (error) {
      query.signal.throwIfAborted();
      problems.push(problemIn(target.name, error));
    }
  }
  const [best] = found.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at));
  // Another target may lead to a later moment, and can't be read.
  const unread = problems.map(({ message }) => message).join("; ");
  if (best !== undefined) return { ...best, why: [best.why, unread].filter(Boolean).join("; ") };
  throw new TwineError([
    ...problems,
    {
      code: "MOMENT_UNKNOWN",
      message: `no backup leads to that time${why === "" ? "" : `: ${why}`}`,
      remedy: "twine-backup --list shows the time ranges that can be restored",
    },
  ]);
}

function problemIn(target: string, error: unknown): Problem {
  if (error instanceof TwineError && error.problems[0] !== undefined) return error.problems[0];
  return {
    code: "ARCHIVE_UNREADABLE",
    message: `${target}: ${errorText(error)}`,
    remedy:
      "see that this user can read everything there, and restore again; or restore a backup without --to",
  };
}

interface Candidate {
  readonly manifest: Manifest;
  readonly startedAtMs: number;
}

/** A backup that is a moment by itself. */
interface Own {
  readonly manifest: Manifest;
  readonly at: string | undefined;
}

async function momentIn(target: BackupTarget, query: MomentQuery): Promise<Moment | string> {
  const bases = (await target.list())
    .flatMap(({ manifest, startedAtMs, id }): Candidate[] => {
      const parsed = parseManifest(manifest);
      const isMeant = query.baseId === undefined || query.baseId === id;
      return parsed.kind === "parsed" && isMeant ? [{ manifest: parsed.value, startedAtMs }] : [];
    })
    .toReversed();
  const own = bases
    .map(({ manifest }) => ({ manifest, at: ownMoment(manifest, query.partition) }))
    .find(({ at }) => at !== undefined && Date.parse(at) <= query.toMs);
  return withIndex(target.archive, (index) => momentOf(target, index, { bases, own }, query));
}

async function momentOf(
  target: BackupTarget,
  index: ArchiveIndex,
  { bases, own }: { bases: readonly Candidate[]; own: Own | undefined },
  query: MomentQuery,
): Promise<Moment | string> {
  let why = bases.length === 0 ? "there is no backup" : "";
  for await (const end of endsBefore(target.archive, index, query)) {
    query.signal.throwIfAborted();
    if (own?.at !== undefined && Date.parse(end.at) <= Date.parse(own.at)) break;
    const led = ledFrom(index, bases, end);
    if (typeof led !== "string") return { target, at: end.at, why, ...led };
    why ||= led;
  }
  if (own?.at === undefined) return why;
  return { target, manifest: own.manifest, at: own.at, legs: undefined, why };
}

/** The moment of a backup by itself; undefined: its partitions have one each. */
function ownMoment(
  { cut, partitions }: Manifest,
  partition: number | undefined,
): string | undefined {
  if (cut !== undefined) return cut.at;
  const alone = partition ?? (partitions.length === 1 ? 0 : undefined);
  return alone === undefined ? undefined : partitions[alone]?.takenAt;
}

interface End {
  readonly run: string;
  readonly block: number;
  readonly at: string;
  /** By partition; undefined: it is not asked for. */
  readonly offsets: readonly (number | undefined)[];
}

/** The first of the bases from which every partition has its path, or why there is none. */
function ledFrom(
  index: ArchiveIndex,
  bases: readonly Candidate[],
  { run, block, offsets }: End,
): { readonly manifest: Manifest; readonly legs: readonly (readonly Leg[])[] } | string {
  let why = "";
  for (const { manifest, startedAtMs } of bases) {
    const starts = basesOf(manifest, startedAtMs);
    const legs: (readonly Leg[])[] = [];
    let gap = starts.length === offsets.length ? "" : "it has another number of partitions";
    for (const [partition, offset] of offsets.entries()) {
      const base = starts[partition];
      if (gap !== "" || base === undefined) break;
      if (offset === undefined) {
        legs.push([]);
        continue;
      }
      const path = pathTo(index, base, partition, { run, block, offset });
      if (path.kind === "gap") gap = `partition ${partition}: ${path.why}`;
      else legs.push(path.legs);
    }
    if (gap === "") return { manifest, legs };
    why ||= gap;
  }
  return why;
}

/** What can be restored to, from the time backwards. */
async function* endsBefore(
  store: Pick<ArchiveStore, "read">,
  index: ArchiveIndex,
  query: MomentQuery,
): AsyncGenerator<End> {
  const { toMs, partition } = query;
  const untilMs = partition === undefined ? toMs + WRITTEN_MS : toMs;
  const seen = new Set<string>();
  const segments = index.segments
    .filter(({ firstMs }) => firstMs <= untilMs)
    .toSorted((a, b) => b.firstMs - a.firstMs || b.last - a.last);
  for (const segment of segments) {
    for (const end of await endsIn(store, index, segment, query)) {
      const key = `${end.run} ${end.block}`;
      if (!seen.has(key)) yield end;
      seen.add(key);
    }
  }
}

async function endsIn(
  store: Pick<ArchiveStore, "read">,
  index: ArchiveIndex,
  segment: SegmentName,
  { toMs, partition }: MomentQuery,
): Promise<End[]> {
  const { run } = segment;
  const headers = await headersOf(store, segment);
  const isCut = ({ at }: Cut): boolean => Date.parse(at) <= toMs;
  if (partition === undefined) {
    return headers
      .flatMap(({ block, cut }) =>
        cut === undefined || !isCut(cut)
          ? []
          : [{ run, block, at: cut.at, offsets: cut.marks.map(({ offset }) => offset) }],
      )
      .toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at));
  }
  const count = index.heads.get(run)?.starts.length ?? 0;
  const last = headers.findLast(({ atMs }) => atMs <= toMs);
  if (last === undefined || partition >= count) return [];
  const offsets = Array.from({ length: count }, (_, at) =>
    at === partition ? last.to[partition] : undefined,
  );
  return [{ run, block: last.block, at: new Date(last.atMs).toISOString(), offsets }];
}
