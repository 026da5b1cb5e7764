// target-archive.ts: the archive in one target: what it holds, what was shipped to it, which backups it can be restored from,
// and what it needs no more.
import type { HistoryMark } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import { parseManifest, type Manifest } from "../manifest.ts";
import type { BackupTarget } from "../targets/target.ts";
import { readArchiveIndex, runsByTime } from "./archive-index.ts";
import { parseArchiveName, type SegmentName } from "./archive-names.ts";
import { unneededFiles, whyNoBase, type ArchiveIndex, type Base } from "./archive-path.ts";
import type { RunHead } from "./run-head.ts";
import { Shipper } from "./ship.ts";

/** What a target holds of the run that is recorded. */
export interface StoredEnd {
  readonly run: string;
  readonly block: number;
  /** By partition. */
  readonly marks: readonly HistoryMark[];
  /** When it was closed, Unix milliseconds. */
  readonly atMs: number;
}

/** Without any backup, so much is kept: one may be under way. */
const KEEP_MS = 24 * 3_600_000;
const BASES_MAX = 20;

export class TargetArchive {
  readonly target: BackupTarget;
  readonly shipper: Shipper;
  readonly #clock: Clock;
  #heads = new Map<string, RunHead>();
  #segments = new Map<string, SegmentName>();
  /** Files on their way, by name. */
  readonly #coming = new Map<string, RunHead | StoredEnd>();
  #end: StoredEnd | undefined;

  #hasHole = false;

  /** `onHole`: something was left out here, and what comes behind it is stored again. */
  constructor(target: BackupTarget, clock: Clock, onHole: () => void) {
    this.target = target;
    this.#clock = clock;
    this.shipper = new Shipper({
      target,
      clock,
      onStored: (name, gone) => {
        this.#stored(name, gone);
        if (!this.#hasHole) return;
        this.#hasHole = false;
        onHole();
      },
      onDropped: (name) => {
        this.#coming.delete(name);
        this.#hasHole = true;
      },
    });
  }

  get index(): ArchiveIndex {
    return { heads: this.#heads, segments: [...this.#segments.values()] };
  }

  /** undefined: nothing of the present runs is stored yet. */
  get end(): StoredEnd | undefined {
    return this.#end;
  }

  /** Reads what there is. */
  async open(): Promise<ArchiveIndex> {
    await this.target.archive.sweep();
    const { heads, segments } = await readArchiveIndex(this.target.archive);
    for (const [run, head] of heads) this.#heads.set(run, head);
    for (const segment of segments) this.#segments.set(segment.name, segment);
    return this.index;
  }

  /** A file of that name is on its way. */
  expect(name: string, what: RunHead | StoredEnd): void {
    this.#coming.set(name, what);
  }

  /** Why what is stored here since `end` can't be restored from any backup here; undefined: it can. Removes what none needs. */
  async look(): Promise<string | undefined> {
    const bases = (await this.target.list())
      .map(({ manifest, startedAtMs }) => ({ parsed: parseManifest(manifest), startedAtMs }))
      .flatMap(({ parsed, startedAtMs }) =>
        parsed.kind === "parsed" ? [{ manifest: parsed.value, startedAtMs }] : [],
      )
      .toReversed();
    await this.#prune(bases.at(-1)?.startedAtMs);
    const end = this.#end;
    if (end === undefined) return undefined;
    const offsets = end.marks.map(({ offset }) => offset);
    let why: string | undefined;
    for (const { manifest, startedAtMs } of bases.slice(0, BASES_MAX)) {
      const reason = whyNoBase(this.index, basesOf(manifest, startedAtMs), { ...end, offsets });
      if (reason === undefined) return undefined;
      why ??= reason;
    }
    return why ?? "there is no backup";
  }

  async #prune(oldestBaseMs: number | undefined): Promise<void> {
    const nowMs = Date.parse(this.#clock.wallTime());
    for (const name of unneededFiles(this.index, oldestBaseMs ?? nowMs - KEEP_MS)) {
      await this.target.archive.remove(name);
      this.#forgetStored(name);
    }
  }

  #forgetStored(name: string): void {
    this.#segments.delete(name);
    const parsed = parseArchiveName(name);
    if (parsed?.kind === "run") this.#heads.delete(parsed.run);
  }

  #stored(name: string, gone: readonly string[]): void {
    const parsed = parseArchiveName(name);
    if (parsed?.kind === "segment") this.#segments.set(name, parsed);
    const what = this.#coming.get(name);
    this.#coming.delete(name);
    if (what !== undefined && "starts" in what) this.#heads.set(what.run, what);
    else if (what !== undefined) this.#end = what;
    for (const old of gone) this.#forgetStored(old);
  }
}

export function basesOf(manifest: Manifest, startedAtMs: number): Base[] {
  return manifest.partitions.map(({ replicationId, offset }) => ({
    ...{ replicationId, offset, startedAtMs },
  }));
}

/** The newest run before which something was not recorded, though there was an archive before. Pure. */
export function lastGap(index: ArchiveIndex): RunHead | undefined {
  const [, ...later] = runsByTime(index);
  return later.findLast(
    ({ continues, starts }) =>
      continues === undefined ||
      starts.some(({ before, replicationId }) => before === undefined && replicationId !== ""),
  );
}
