// block-box.ts: what comes from all partitions, put into blocks of runs. Pure: it decides, others store.
//
//   chunks --add--> pending --close--> a block of the run that is open
//   a failover, a gap, blocks that a target never got --> close, and another run, which says what it continues
import type { Cut } from "../../core/cut.ts";
import type { HistoryMark } from "../../core/view.ts";
import type { BlockHeader } from "./archive-block.ts";
import { runId } from "./archive-names.ts";
import type { RunHead, RunStart } from "./run-head.ts";

/** What is to be stored, in this order. */
export type BoxOutput =
  | { readonly kind: "head"; readonly head: RunHead }
  | {
      readonly kind: "block";
      readonly run: string;
      readonly header: BlockHeader;
      /** The bytes of all partitions, in their order. */
      readonly chunks: readonly Buffer[];
    };

export interface BoxOptions {
  readonly partitions: number;
  /** What all heads have in common. */
  readonly head: Pick<
    RunHead,
    "format" | "cluster" | "twineVersion" | "compression" | "encryption"
  >;
  /** Unix milliseconds. */
  readonly wallMs: () => number;
  /** Six hex digits. */
  readonly newSuffix: () => string;
  readonly onOutput: (output: BoxOutput) => void;
}

/** Where another archiver ended, in one target. */
export interface KnownEnd {
  readonly run: string;
  readonly block: number;
  /** By partition. */
  readonly marks: readonly HistoryMark[];
}

interface Position {
  replicationId: string;
  offset: number;
  /** Of the run that is opened next. */
  before: string | undefined;
}

interface OpenRun {
  readonly head: RunHead;
  block: number;
  /** What its blocks hold already, by partition. */
  held: number[];
}

export class BlockBox {
  readonly #options: BoxOptions;
  readonly #positions: Position[];
  #pending: Buffer[][];
  #pendingBytes = 0;
  #run: OpenRun | undefined;
  #lastMs = 0;
  /** Why each partition's history is what it is, for a first run that continues nothing. */
  readonly #gapWhys: string[] = [];

  constructor(options: BoxOptions) {
    this.#options = options;
    this.#positions = Array.from({ length: options.partitions }, () => ({
      ...{ replicationId: "", offset: 0, before: undefined },
    }));
    this.#pending = this.#positions.map(() => []);
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** The run that is open, and what its blocks hold. */
  get recorded(): { run: string; block: number; offsets: readonly number[] } | undefined {
    if (this.#run === undefined) return undefined;
    const { head, block, held } = this.#run;
    return { run: head.run, block, offsets: held };
  }

  /** What has come, by partition; an empty id: nothing yet. */
  get marks(): readonly HistoryMark[] {
    return this.#positions.map(({ replicationId, offset }) => ({ replicationId, offset }));
  }

  /** Opens the first run. `ends`: where others ended, the one with the fewest blocks first; one of them is continued. */
  begin(ends: readonly KnownEnd[], why: string): void {
    const starts = this.#positions.map(({ before }, at) => ({ before, offset: this.#startOf(at) }));
    const isContinued = starts.some(({ before }) => before !== undefined);
    const end = ends.find(({ marks }) =>
      starts.every(
        ({ before, offset }, at) => before === undefined || (marks[at]?.offset ?? 0) >= offset,
      ),
    );
    const continues =
      isContinued && end !== undefined ? { run: end.run, block: end.block } : undefined;
    const gaps = starts.flatMap(({ before }, at) =>
      before === undefined ? (this.#gapWhys[at] ?? []) : [],
    );
    this.#open(continues, ends.length > 0 && gaps.length > 0 ? gaps.join("; ") : why);
  }

  /** The partition's feed goes on behind this mark. */
  history(partition: number, mark: HistoryMark, before: string | undefined, why: string): void {
    const position = this.#positions[partition];
    if (position === undefined) return;
    if (this.#run !== undefined) this.close();
    // What came before the first run has nowhere to go.
    const lost = (this.#pending[partition] ?? []).reduce((sum, { length }) => sum + length, 0);
    this.#pending[partition] = [];
    this.#pendingBytes -= lost;
    Object.assign(position, mark, { before: lost > 0 ? undefined : before });
    this.#gapWhys[partition] = why;
    if (this.#run !== undefined) this.#next(why, partition);
  }

  add(partition: number, chunk: Buffer): void {
    const position = this.#positions[partition];
    if (position === undefined) return;
    position.offset += chunk.length;
    this.#pending[partition]?.push(chunk);
    this.#pendingBytes += chunk.length;
  }

  /** Whether what has come holds the moment, in the run that is open; late: it never will. */
  holds({ marks }: Cut): "held" | "soon" | "late" {
    if (this.#run === undefined) return "soon";
    const { starts } = this.#run.head;
    if (marks.length !== this.#positions.length) return "late";
    const isLate = this.#positions.some(
      ({ replicationId }, at) =>
        replicationId !== marks[at]?.replicationId || marks[at].offset < (starts[at]?.offset ?? 0),
    );
    if (isLate) return "late";
    return this.#positions.every(({ offset }, at) => offset >= (marks[at]?.offset ?? Infinity))
      ? "held"
      : "soon";
  }

  /** Puts what is pending into a block; none when there is nothing. */
  close(cut?: Cut): void {
    const run = this.#run;
    if (run === undefined || (this.#pendingBytes === 0 && cut === undefined)) return;
    const chunks = this.#pending.flat();
    const from = run.held;
    const to = this.#positions.map(({ offset }) => offset);
    this.#pending = this.#positions.map(() => []);
    this.#pendingBytes = 0;
    run.held = to;
    run.block++;
    const header = {
      ...{ block: run.block, atMs: this.#nowMs(), from, to },
      ...(cut === undefined ? {} : { cut }),
    };
    this.#options.onOutput({ kind: "block", run: run.head.run, header, chunks });
  }

  /** Another run, which continues this one: some target does not hold all of it. */
  restart(why: string): void {
    if (this.#run === undefined) return;
    this.close();
    this.#next(why);
  }

  #next(why: string, changed?: number): void {
    const run = this.#run;
    if (run === undefined) return;
    for (const [partition, position] of this.#positions.entries()) {
      if (partition === changed || position.replicationId === "") continue;
      position.before = position.replicationId;
    }
    this.#open({ run: run.head.run, block: run.block }, why);
  }

  #open(continues: RunHead["continues"], why: string): void {
    const { head: common, newSuffix, onOutput } = this.#options;
    const startedAt = new Date(this.#nowMs(1)).toISOString();
    const starts = this.#positions.map(({ replicationId, before }, at): RunStart => {
      const isContinued = before !== undefined && continues !== undefined;
      return { replicationId, offset: this.#startOf(at), ...(isContinued ? { before } : {}) };
    });
    const head: RunHead = {
      ...common,
      run: runId(startedAt, newSuffix()),
      startedAt,
      ...(continues === undefined ? {} : { continues }),
      why,
      starts,
    };
    this.#run = { head, block: 0, held: starts.map(({ offset }) => offset) };
    onOutput({ kind: "head", head });
  }

  /** What has come since the feed was opened belongs to the run that is opened next. */
  #startOf(partition: number): number {
    const pending = this.#pending[partition] ?? [];
    const bytes = pending.reduce((sum, { length }) => sum + length, 0);
    return (this.#positions[partition]?.offset ?? 0) - bytes;
  }

  /** Never less than before, whatever the machine's clock does. */
  #nowMs(more = 0): number {
    this.#lastMs = Math.max(this.#options.wallMs(), this.#lastMs + more);
    return this.#lastMs;
  }
}
