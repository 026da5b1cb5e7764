// consistent-cut.ts: the feeds of all partitions beside their RDBs, and the moment at which they are cut.
//
//   each RDB begins -> its feed is recorded ... all RDBs are there -> ask the alpha for a cut -> every feed reaches its mark
//        refused, void, a failover between: ask again, CUT_TRIES times -> a lost feed: that partition once more
//        no alpha, or out of tries: no cut; each partition has the moment of its RDB, and the result says why
import type { Cut } from "../core/cut.ts";
import { TwineError } from "../core/errors.ts";
import type { HistoryMark } from "../core/view.ts";
import type { Source } from "../replication/choose-source.ts";
import { FeedRecorder, type FeedRecorderOptions } from "./feed-recorder.ts";
import type { SavedFeed } from "./manifest.ts";

export interface CutPorts {
  /** A moment of the whole cluster. Throws REFUSED when there is none now, NO_ANSWER or STATUS_UNREACHABLE. */
  readonly ask: () => Promise<Cut>;
  readonly sourcesNow: FeedRecorderOptions["sourcesNow"];
}

export interface CutResult {
  /** undefined: there is none. */
  readonly cut: Cut | undefined;
  /** Why there is none. */
  readonly why: string;
  /** By partition: what was recorded. */
  readonly feeds: readonly (SavedFeed | undefined)[];
}

const CUT_TRIES = 5;
const RETRY_AFTER_MS = 500;
/** A lost partition is saved once more within some half minute, or the backup fails: its first RDB is gone by then. */
const SAVE_TRIES = 10;
const SAVE_AGAIN_AFTER_MS = 3000;
/** A replica is further behind than that only when something is wrong with it. */
const REACH_MS_MAX = 10_000;

export class ConsistentCut {
  readonly #options: FeedRecorderOptions;
  readonly #ask: CutPorts["ask"];
  readonly #recorders: FeedRecorder[] = [];

  constructor(options: FeedRecorderOptions, ask: CutPorts["ask"]) {
    this.#options = options;
    this.#ask = ask;
  }

  /** A partition's RDB begins: its feed is recorded from there on, in the place of what was recorded before. */
  start(partition: number, source: Source, mark: HistoryMark): void {
    const before = this.#recorders[partition];
    this.#recorders[partition] = new FeedRecorder(partition, source, mark, this.#options, before);
  }

  /**
   * Cuts when all RDBs are there. `saveAgain` takes a partition's RDB once more, which starts its feed anew. Rejects only when
   * what is stored is not usable any more.
   */
  async take(saveAgain: (partition: number) => Promise<void>): Promise<CutResult> {
    const { clock, signal } = this.#options;
    const again = new Set<number>();
    let why = "";
    for (let tries = 0; tries < CUT_TRIES; tries++) {
      if (tries > 0) await clock.delay(RETRY_AFTER_MS);
      signal.throwIfAborted();
      const lost = this.#recorders.filter((recorder) => recorder.lost !== undefined);
      const twice = lost.find(({ partition }) => again.has(partition));
      if (twice !== undefined)
        return this.#none(`partition ${twice.partition}: ${twice.lost ?? ""}`);
      for (const { partition } of lost) {
        again.add(partition);
        await this.#again(() => saveAgain(partition));
      }
      const asked = await this.#askOnce();
      if (asked.cut === undefined) {
        why = asked.why;
        if (asked.isFinal) break;
        continue;
      }
      const missing = await this.#missing(asked.cut);
      if (missing.length === 0) return { cut: asked.cut, why: "", feeds: await this.#finish() };
      for (const partition of missing) this.#recorders[partition]?.reopen();
      why = `the feed of partition ${missing.join(" and ")} did not reach the moment`;
    }
    return this.#none(why);
  }

  /** What cost the feed, such as a failover, may go on for a while. */
  async #again(save: () => Promise<void>): Promise<void> {
    const { clock, signal } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        await save();
        return;
      } catch (error) {
        signal.throwIfAborted();
        const isOfNodes = error instanceof TwineError && error.code === "PARTITION_UNAVAILABLE";
        if (!isOfNodes || tries === SAVE_TRIES) throw error;
        await clock.delay(SAVE_AGAIN_AFTER_MS);
      }
    }
  }

  /** Ends every recording; their files are of no use. */
  async abort(): Promise<void> {
    await Promise.all(this.#recorders.map((recorder) => recorder.discard()));
  }

  async #none(why: string): Promise<CutResult> {
    return { cut: undefined, why, feeds: await this.#finish() };
  }

  #finish(): Promise<(SavedFeed | undefined)[]> {
    return Promise.all(this.#recorders.map((recorder) => recorder.finish()));
  }

  async #askOnce(): Promise<{ cut: Cut | undefined; why: string; isFinal: boolean }> {
    try {
      return { cut: await this.#ask(), why: "", isFinal: false };
    } catch (error) {
      if (!(error instanceof TwineError)) throw error;
      return { cut: undefined, why: error.message, isFinal: error.code !== "REFUSED" };
    }
  }

  /** Partitions whose feed does not hold the cut. */
  async #missing({ marks }: Cut): Promise<number[]> {
    const reached = await Promise.all(
      this.#recorders.map(async (recorder, index) => {
        const mark = marks[index];
        return mark !== undefined && (await recorder.reach(mark, REACH_MS_MAX));
      }),
    );
    return reached.flatMap((isReached, index) => (isReached ? [] : [index]));
  }
}
