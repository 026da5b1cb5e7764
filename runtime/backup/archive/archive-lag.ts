// archive-lag.ts: how far the archive is behind the masters, by offsets: silence of a feed proves nothing. Pure.
//
//   each second: every master's offset --> a sample; it is reached when all of it is stored in every target
//   lag: since when the oldest sample that is not reached was taken, and how many bytes are missing
import type { HistoryMark } from "../../core/view.ts";

export interface MasterSample {
  /** By the monotonic clock. */
  readonly atMs: number;
  /** By partition; undefined: its master did not say. */
  readonly marks: readonly (HistoryMark | undefined)[];
}

export interface Lag {
  readonly ms: number;
  readonly bytes: number;
}

const SAMPLES_MAX = 600;

export class ArchiveLag {
  #open: MasterSample[] = [];
  #newest: MasterSample | undefined;

  add(sample: MasterSample): void {
    this.#newest = sample;
    // The oldest says since when; of the others some will do.
    if (this.#open.length >= SAMPLES_MAX) this.#open.splice(-1, 1);
    this.#open.push(sample);
  }

  /** `has`: by partition, what is there now. */
  at(has: readonly HistoryMark[], nowMs: number): Lag {
    const newest = this.#newest?.marks ?? [];
    this.#open = this.#open.filter(({ marks }) => behindIn(marks, has, newest).length > 0);
    const [oldest] = this.#open;
    const bytes = newest.reduce((sum, mark, at) => {
      const own = has[at];
      if (mark === undefined || own === undefined) return sum;
      const isSame = own.replicationId === mark.replicationId;
      return sum + (isSame ? Math.max(0, mark.offset - own.offset) : 0);
    }, 0);
    return { ms: oldest === undefined ? 0 : Math.max(0, nowMs - oldest.atMs), bytes };
  }

  /** Partitions of which not even what their masters had `agoMs` ago is there. */
  silent(has: readonly HistoryMark[], nowMs: number, agoMs: number): number[] {
    const newest = this.#newest?.marks ?? [];
    const old = this.#open.filter(({ atMs }) => nowMs - atMs >= agoMs);
    return [...new Set(old.flatMap(({ marks }) => behindIn(marks, has, newest)))];
  }
}

/** Partitions that are not where the sample was. One that got another master since is measured by that one. */
function behindIn(
  marks: MasterSample["marks"],
  has: readonly HistoryMark[],
  newest: MasterSample["marks"],
): number[] {
  return marks.flatMap((mark, at) => {
    const own = has[at];
    if (mark === undefined || own === undefined) return [];
    if (own.replicationId === mark.replicationId) return own.offset < mark.offset ? [at] : [];
    return newest[at]?.replicationId === mark.replicationId ? [at] : [];
  });
}
