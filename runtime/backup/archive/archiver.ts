// archiver.ts: records the change feeds of all partitions into every target, until it is told to end.
//
//   partitions --chunks--> box --blocks, heads--> encoded --> spool --> each target
//   each backup-cut-every: a cut asked of the alpha, written into the block that holds it
//   each second: the masters' offsets, and what is said of all that (ArchiveState)
//
// A node is not read faster than blocks are stored on this machine, so memory is bounded; a slow target fills the spool, of which
// the oldest is dropped when it is full.
import { tmpdir } from "node:os";
import type { Cut } from "../../core/cut.ts";
import { errorText } from "../../core/error-text.ts";
import { startPeriodicTask, type PeriodicTask } from "../../ports/periodic-task.ts";
import type { CutPorts } from "../consistent-cut.ts";
import { encodersOf, type Encoding } from "../save-partition.ts";
import type { BackupTarget } from "../targets/target.ts";
import { printBlock } from "./archive-block.ts";
import { endOf, withIndex } from "./archive-index.ts";
import { ArchiveLag } from "./archive-lag.ts";
import { headName, segmentName } from "./archive-names.ts";
import type { ArchiveState } from "../../core/archive-state.ts";
import { BlockBox, type BoxOutput, type KnownEnd } from "./block-box.ts";
import { MasterOffsets } from "./master-offsets.ts";
import { PartitionRecorder, type RecordOptions } from "./record-partition.ts";
import { printRunHead, RUN_FORMAT } from "./run-head.ts";
import { Spool } from "./spool.ts";
import { lastGap, TargetArchive, type StoredEnd } from "./target-archive.ts";

export interface ArchiverOptions extends RecordOptions, Encoding {
  readonly cluster: string;
  readonly partitions: number;
  readonly twineVersion: string;
  readonly targets: readonly BackupTarget[];
  readonly askCut: CutPorts["ask"];
  readonly cutEveryMs: number;
  readonly pid: number;
  readonly newSuffix: () => string;
  /** Where the spool lies. Absent: the system's temporary folder. */
  readonly spoolHome?: string;
  readonly spoolBytesMax?: number;
  /** Once a second. */
  readonly onState: (state: ArchiveState) => void;
}

/** A block is closed so long after the one before, or when it has so many bytes. */
const BLOCK_MS = 250;
const BLOCK_BYTES = 4 * 1024 * 1024;
/** Nodes are not read while so much is on its way to the spool. */
const IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024;
const SPOOL_BYTES_MAX = 256 * 1024 * 1024;
/** So long every partition is waited for that another archiver recorded. */
const OPEN_MS_MAX = 15_000;
/** So often, or so long while none can be read, the targets are asked for what they hold. */
const READ_TRIES = 3;
const READ_MS_MAX = 30_000;
const READ_REST_MS = 500;
const CUT_MS_MAX = 10_000;
const SILENT_MS = 5000;
const POLL_MS = 20;
const STATE_MS = 1000;
const LOOK_MS = 10 * 60_000;
/** While what is recorded can't be restored from any backup. */
const LOOK_SOON_MS = 3000;
const DRAIN_MS_MAX = 3000;

/** Until the signal is aborted. Throws when nothing can be recorded at all. */
export async function runArchiver(options: ArchiverOptions): Promise<void> {
  const archiver = new Archiver(options);
  await archiver.run();
}

class Archiver {
  readonly #options: ArchiverOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #archives: readonly TargetArchive[];
  readonly #box: BlockBox;
  readonly #spool: Spool;
  readonly #recorders: PartitionRecorder[] = [];
  readonly #lag = new ArchiveLag();
  readonly #masters: MasterOffsets;
  #encoding: Promise<void> = Promise.resolve();
  #encodingBytes = 0;
  /** Of the run whose blocks are stored, by partition. */
  #ids: readonly string[] = [];
  #failure: Error | undefined;
  #lastCutAt: string | null = null;
  #cutFailed = "";
  #noBase = "";
  #lookFailed = "";
  #lookedRun = "";
  #lookAtMs = 0;

  constructor(options: ArchiverOptions) {
    const { clock, targets, partitions, cluster, twineVersion, compression, recipients } = options;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    this.#options = { ...options, signal: this.#signal };
    // What it holds from now on can be restored only from a base that comes behind the hole.
    const onHole = (): void => {
      this.#box.restart("a backup-dir was so slow that some of it was left out there");
    };
    this.#archives = targets.map((target) => new TargetArchive(target, clock, onHole));
    const folder = Spool.folderIn(options.spoolHome ?? tmpdir(), options.pid);
    const shippers = this.#archives.map(({ shipper }) => shipper);
    this.#spool = new Spool(folder, options.spoolBytesMax ?? SPOOL_BYTES_MAX, shippers);
    this.#masters = new MasterOffsets(partitions, this.#options);
    const encryption =
      recipients === undefined
        ? {}
        : { encryption: { kind: "age" as const, recipients: recipients.keys } };
    this.#box = new BlockBox({
      partitions,
      head: { format: RUN_FORMAT, cluster, twineVersion, compression, ...encryption },
      wallMs: () => Date.parse(clock.wallTime()),
      newSuffix: options.newSuffix,
      onOutput: (output) => {
        this.#store(output);
      },
    });
  }

  async run(): Promise<void> {
    const { clock } = this.#options;
    const tasks: PeriodicTask[] = [];
    const shipping = this.#archives.map(({ shipper }) => shipper.run(this.#spool));
    let recording: Promise<unknown> = Promise.resolve();
    try {
      const ends = await this.#knownEnds();
      recording = this.#record(ends);
      recording.catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
      });
      await this.#untilOpened();
      this.#box.begin(ends, ends.length > 0 ? "another archiver goes on" : "the archive begins");
      tasks.push(...this.#periodic());
      while (!this.#signal.aborted && this.#failure === undefined) await clock.delay(POLL_MS * 5);
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.#stop.abort(new Error("the archiver ends"));
      await Promise.all(tasks.map((task) => task.stop()));
      this.#masters.close();
      await Promise.race([recording.catch(() => undefined), clock.delay(DRAIN_MS_MAX)]);
      this.#box.close();
      await this.#encoding;
      for (const { shipper } of this.#archives) shipper.stop();
      await Promise.race([Promise.all(shipping), clock.delay(DRAIN_MS_MAX)]);
      await this.#spool.close();
    }
  }

  /**
   * Where archivers before this one ended, the one with the fewest blocks first; of the newest run alone. Who goes on without
   * having read any target leaves a gap: the nodes keep what they have written meanwhile.
   */
  async #knownEnds(): Promise<KnownEnd[]> {
    const { clock, signal } = this.#options;
    const endMs = clock.nowMs() + READ_MS_MAX;
    const found: { end: KnownEnd; startedAt: string }[] = [];
    let unread = this.#archives;
    for (let tries = 1; unread.length > 0; tries++) {
      const failed: TargetArchive[] = [];
      for (const archive of unread) {
        try {
          const { end, startedAt } = await endIn(archive);
          const isSame = end?.marks.length === this.#options.partitions;
          if (end !== undefined && isSame) found.push({ end, startedAt });
        } catch (error) {
          this.#lookFailed = errorText(error);
          failed.push(archive);
        }
      }
      unread = failed;
      const isReadAny = unread.length < this.#archives.length;
      // What does not come back gets what is recorded when it does.
      if ((isReadAny && tries >= READ_TRIES) || clock.nowMs() > endMs || signal.aborted) break;
      if (unread.length > 0) await clock.delay(READ_REST_MS);
    }
    const newest = found.toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1))[0]?.end.run;
    return found
      .map(({ end }) => end)
      .filter(({ run }) => run === newest)
      .toSorted((a, b) => a.block - b.block);
  }

  async #record(ends: readonly KnownEnd[]): Promise<void> {
    const { partitions } = this.#options;
    for (let partition = 0; partition < partitions; partition++) {
      const marks = ends
        .flatMap((end) => end.marks[partition] ?? [])
        .filter(({ replicationId }) => replicationId !== "");
      const recorder = new PartitionRecorder(partition, marks, this.#options, {
        onHistory: (...history) => {
          this.#box.history(...history);
        },
        onChunk: (...chunk) => this.#take(...chunk),
      });
      this.#recorders.push(recorder);
    }
    await Promise.all(this.#recorders.map((recorder) => recorder.run()));
  }

  /** A partition that is not there for so long is recorded from the moment on in which it is. */
  async #untilOpened(): Promise<void> {
    const { clock, signal } = this.#options;
    const endMs = clock.nowMs() + OPEN_MS_MAX;
    const isOpen = (): boolean =>
      this.#box.marks.every(({ replicationId }) => replicationId !== "");
    while (!isOpen() && clock.nowMs() < endMs && !signal.aborted) await clock.delay(POLL_MS);
  }

  async #take(partition: number, chunk: Buffer): Promise<void> {
    this.#box.add(partition, chunk);
    if (this.#box.pendingBytes >= BLOCK_BYTES) this.#box.close();
    while (this.#isFull() && !this.#signal.aborted) await this.#options.clock.delay(POLL_MS);
  }

  #isFull(): boolean {
    return this.#box.pendingBytes + this.#encodingBytes >= IN_FLIGHT_BYTES_MAX;
  }

  /** In order: a block means nothing without the head before it. */
  #store(output: BoxOutput): void {
    const bytes =
      output.kind === "head" ? 0 : output.chunks.reduce((sum, { length }) => sum + length, 0);
    this.#encodingBytes += bytes;
    this.#encoding = this.#encoding
      .then(() => this.#spoolOne(output))
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => {
        this.#encodingBytes -= bytes;
      });
  }

  async #spoolOne(output: BoxOutput): Promise<void> {
    if (output.kind === "head") {
      const name = headName(output.head.run);
      this.#ids = output.head.starts.map(({ replicationId }) => replicationId);
      for (const archive of this.#archives) archive.expect(name, output.head);
      await this.#spool.add(name, Buffer.from(printRunHead(output.head)), true);
      return;
    }
    const { run, header, chunks } = output;
    const bytes = printBlock(header, await encoded(chunks, this.#options));
    const { block, atMs, to } = header;
    const name = segmentName({ run, first: block, last: block, firstMs: atMs, lastMs: atMs });
    const end: StoredEnd = {
      ...{ run, block, atMs },
      marks: to.map((offset, at) => ({ replicationId: this.#ids[at] ?? "", offset })),
    };
    for (const archive of this.#archives) archive.expect(name, end);
    await this.#spool.add(name, bytes, false);
    if (header.cut !== undefined) this.#lastCutAt = header.cut.at;
  }

  #periodic(): PeriodicTask[] {
    const { clock, cutEveryMs } = this.#options;
    const every = (restMs: number, run: () => Promise<void> | void): PeriodicTask =>
      startPeriodicTask({
        clock,
        restMs: (spentMs) => Math.max(0, restMs - spentMs),
        run,
        onError: (error) => {
          this.#lookFailed = errorText(error);
        },
      });
    return [
      every(BLOCK_MS, () => {
        this.#box.close();
      }),
      every(cutEveryMs, () => this.#cut()),
      every(STATE_MS, () => this.#say()),
      every(STATE_MS, () => this.#look()),
    ];
  }

  async #cut(): Promise<void> {
    const { clock, signal, askCut } = this.#options;
    let cut: Cut;
    try {
      cut = await askCut();
      this.#cutFailed = "";
    } catch (error) {
      this.#cutFailed = `no cut: ${errorText(error)}`;
      return;
    }
    const endMs = clock.nowMs() + CUT_MS_MAX;
    let held = this.#box.holds(cut);
    while (held === "soon" && clock.nowMs() < endMs && !signal.aborted) {
      await clock.delay(POLL_MS);
      held = this.#box.holds(cut);
    }
    if (held === "held") this.#box.close(cut);
  }

  async #say(): Promise<void> {
    const { clock, onState } = this.#options;
    this.#lag.add(await this.#masters.sample());
    const nowMs = clock.nowMs();
    if (!this.#isFull()) {
      for (const partition of this.#lag.silent(this.#box.marks, nowMs, SILENT_MS)) {
        this.#recorders[partition]?.reopen();
      }
    }
    const ends = this.#archives.map(({ end }) => end);
    const stored = storedIn(ends, this.#box.marks.length);
    const lag = this.#lag.at(stored, nowMs);
    const gap = this.#archives
      .map(({ index }) => lastGap(index))
      .find((head) => head !== undefined);
    const storedMs = Math.min(...ends.map((end) => end?.atMs ?? Infinity));
    onState({
      storedTo: Number.isFinite(storedMs) ? new Date(storedMs).toISOString() : null,
      lastCutAt: this.#lastCutAt,
      lagMs: Math.round(lag.ms),
      lagBytes: lag.bytes,
      gapAt: gap?.startedAt ?? null,
      gapWhy: gap?.why ?? "",
      noBase: this.#noBase,
      failed: this.#failed(),
    });
  }

  #failed(): string {
    const waiting = this.#recorders.flatMap(({ partition, waitsFor }) =>
      waitsFor === "" ? [] : [`partition ${partition} is not recorded: ${waitsFor}`],
    );
    const targets = this.#archives.flatMap(({ shipper }) => shipper.problem?.message ?? []);
    const all = [...targets, ...waiting, this.#cutFailed, this.#lookFailed];
    return all.filter((text) => text !== "").join("; ");
  }

  /** Whether it can be restored, and what no backup needs any more: when another run has begun, and now and then. */
  async #look(): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    const run = this.#archives.map(({ end }) => end?.run ?? "").join(" ");
    if (run === this.#lookedRun && nowMs < this.#lookAtMs) return;
    this.#lookedRun = run;
    const reasons: string[] = [];
    for (const archive of this.#archives) {
      const why = await archive.look();
      if (why !== undefined) reasons.push(`${archive.target.name}: ${why}`);
    }
    this.#lookFailed = "";
    this.#noBase = reasons.join("; ");
    this.#lookAtMs = nowMs + (reasons.length > 0 ? LOOK_SOON_MS : LOOK_MS);
  }
}

async function endIn(archive: TargetArchive) {
  await archive.open();
  const store = archive.target.archive;
  return withIndex(store, async (index) => {
    const end = await endOf(store, index);
    return { end, startedAt: index.heads.get(end?.run ?? "")?.startedAt ?? "" };
  });
}

/** What every target holds, by partition: of the newest run that all of them have begun. */
function storedIn(
  ends: readonly (StoredEnd | undefined)[],
  partitions: number,
): StoredEnd["marks"] {
  const least = ends.toSorted((a, b) => (a?.atMs ?? 0) - (b?.atMs ?? 0))[0];
  return (
    least?.marks ?? Array.from({ length: partitions }, () => ({ replicationId: "", offset: 0 }))
  );
}

async function encoded(chunks: readonly Buffer[], encoding: Encoding): Promise<readonly Buffer[]> {
  let parts = chunks;
  for (const encoder of await encodersOf(encoding)) {
    const out: Buffer[] = [];
    for (const part of parts) out.push(...(await encoder.push(part)));
    out.push(...(await encoder.end()));
    parts = out;
  }
  return parts;
}
