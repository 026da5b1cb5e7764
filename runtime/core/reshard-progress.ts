// reshard-progress.ts: how far a resharding has come. Its tool reports it with its heartbeat; no decision depends on it. Pure.
import * as schema from "./schema.ts";

/** One partition whose keys are moved. */
export interface SourceProgress {
  readonly partition: number;
  /** Of the RDB. */
  readonly keys: number;
  /** Keys of the partition when the copying began. */
  readonly keysTotal: number;
  /** Values of the RDB that were sent so far. */
  readonly bytes: number;
  /** How far the copy is behind the master; 0 before the RDB is copied. */
  readonly lagBytes: number;
}

export interface ReshardProgress {
  readonly step: "copying" | "verifying" | "following" | "switching";
  /** At most SOURCES_MAX of them. */
  readonly sources: readonly SourceProgress[];
  /** The longest time for which requests were held so far; null before the first switch. */
  readonly longestHoldMs: number | null;
}

/** So that a heartbeat stays far below the longest entry of a status node. */
export const SOURCES_MAX = 1024;

export const reshardProgressCheck: schema.Check = schema.recordOf({
  step: schema.oneOf("copying", "verifying", "following", "switching"),
  sources: schema.listOf(
    schema.recordOf({
      partition: schema.wholeNumber,
      keys: schema.wholeNumber,
      keysTotal: schema.wholeNumber,
      bytes: schema.wholeNumber,
      lagBytes: schema.wholeNumber,
    }),
    SOURCES_MAX,
  ),
  longestHoldMs: schema.orNull(schema.wholeNumber),
});

/** Over all partitions. */
export function sumOf({ sources }: ReshardProgress): Omit<SourceProgress, "partition"> {
  const sum = (of: (one: SourceProgress) => number): number =>
    sources.reduce((total, one) => total + of(one), 0);
  return {
    keys: sum(({ keys }) => keys),
    keysTotal: sum(({ keysTotal }) => keysTotal),
    bytes: sum(({ bytes }) => bytes),
    lagBytes: sum(({ lagBytes }) => lagBytes),
  };
}
