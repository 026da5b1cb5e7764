// archive-names.ts: what the files of an archive are called, so that a list of names says what there is. Pure.
//
//   CLUSTER-archive/20261201T031500Z-1a2b3c.run                                        a run's head, written first
//   CLUSTER-archive/20261201T031500Z-1a2b3c-00000001-00000060-1764558245123-1764558275123.seg
//                   run                     blocks first, last  times first, last: Unix milliseconds
//
// A file never changes. One of blocks 1 to 60 comes from the files of each of them, which are removed after it is there: for a
// while both lie there, and say the same.

/** One segment file. */
export interface SegmentName {
  readonly name: string;
  readonly run: string;
  /** Numbers of its blocks; the first of a run is 1. */
  readonly first: number;
  readonly last: number;
  /** When its first and its last block was closed: Unix milliseconds, by the archiver's clock. */
  readonly firstMs: number;
  readonly lastMs: number;
}

export type ArchiveName =
  | { readonly kind: "run"; readonly name: string; readonly run: string; readonly startMs: number }
  | ({ readonly kind: "segment"; readonly startMs: number } & SegmentName);

/** Of a cluster, beside its backups. No backup has this name: theirs end with a time. */
export function archiveFolder(cluster: string): string {
  return `${cluster}-archive`;
}

/** `at` is ISO 8601; `suffix` six hex digits that keep two runs of one second apart. */
export function runId(at: string, suffix: string): string {
  return `${at.replace(/\.\d+Z$/, "Z").replaceAll(/[-:]/g, "")}-${suffix}`;
}

export function headName(run: string): string {
  return `${run}.run`;
}

export function segmentName({
  run,
  first,
  last,
  firstMs,
  lastMs,
}: Omit<SegmentName, "name">): string {
  const number = (value: number): string => String(value).padStart(8, "0");
  return `${run}-${number(first)}-${number(last)}-${firstMs}-${lastMs}.seg`;
}

const NAME =
  /^((\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{6})(?:\.run|-(\d{8,15})-(\d{8,15})-(\d{1,15})-(\d{1,15})\.seg)$/;

/** undefined: it is no file of an archive. */
export function parseArchiveName(name: string): ArchiveName | undefined {
  const found = NAME.exec(name);
  if (found === null) return undefined;
  const [, run = "", year, month, day, hour, minute, second] = found;
  const startMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(startMs)) return undefined;
  const [first, last, firstMs, lastMs] = found.slice(8).map(Number);
  if (name.endsWith(".run")) return { kind: "run", name, run, startMs };
  if (first === undefined || last === undefined || firstMs === undefined || lastMs === undefined) {
    return undefined;
  }
  if (first < 1 || last < first) return undefined;
  return { kind: "segment", name, run, startMs, first, last, firstMs, lastMs };
}

/**
 * The segments of one run from its block `through` backwards without a hole, in order; each block in one of them alone.
 * `through` absent: from the newest block. Empty: that block is not there.
 */
export function segmentsThrough(
  segments: readonly SegmentName[],
  run: string,
  through?: number,
): SegmentName[] {
  // Of two that end with the same block, the one that holds more.
  const own = segments
    .filter((segment) => segment.run === run)
    .toSorted((a, b) => b.last - a.last || a.first - b.first);
  let wanted = through ?? own[0]?.last ?? 0;
  const chain: SegmentName[] = [];
  for (const segment of own) {
    if (segment.first > wanted || segment.last < wanted) continue;
    chain.push(segment);
    wanted = segment.first - 1;
  }
  return chain.toReversed();
}
