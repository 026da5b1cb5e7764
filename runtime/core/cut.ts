// cut.ts: a cut: one moment of the whole cluster, as the alpha returns it to a tool (monitor/decide/cut.ts). Pure.
import * as schema from "./schema.ts";

export interface CutMark {
  readonly master: string;
  /** The replication id, and the bytes of its history that belong to the cut. */
  readonly replicationId: string;
  readonly offset: number;
}

export interface Cut {
  /** ISO 8601, by the alpha's clock. */
  readonly at: string;
  /** Upper bound of the time without writes: from the first PAUSE sent to the last UNPAUSE acknowledged. */
  readonly pausedMs: number;
  /** By partition. */
  readonly marks: readonly CutMark[];
}

export const CUT_CHECK = schema.recordOf({
  at: schema.text,
  pausedMs: schema.finiteNumber,
  marks: schema.listOf(
    schema.recordOf({
      master: schema.textUpTo(256),
      replicationId: schema.textUpTo(64),
      offset: schema.wholeNumber,
    }),
    100_000,
  ),
});

const CUT_CHARS_MAX = 16 * 1024 * 1024;

/** Parses the cut in an alpha's answer. Malformed input gives the reason. */
export function parseCut(json: string): schema.Parsed<Cut> {
  return schema.parseJson<Cut>(json, CUT_CHECK, CUT_CHARS_MAX);
}
