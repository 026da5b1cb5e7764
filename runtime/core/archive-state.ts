// archive-state.ts: the report that an archiver prints once a second, as one line of JSON, for the monitor that runs it. Pure.
import * as schema from "./schema.ts";

export interface ArchiveState {
  /** All that was written before is stored in every target. ISO 8601; null: nothing is recorded yet. */
  readonly storedTo: string | null;
  /** The newest moment of the whole cluster. ISO 8601; null: none yet. */
  readonly lastCutAt: string | null;
  /** How far it is behind the masters. */
  readonly lagMs: number;
  readonly lagBytes: number;
  /** When the newest gap ended, and why there was one: what was written in it is in no archive. null: there is none. */
  readonly gapAt: string | null;
  readonly gapWhy: string;
  /** Why a backup is needed before what is recorded now can be restored; empty: none is. */
  readonly noBase: string;
  /** What fails; empty: nothing does. */
  readonly failed: string;
}

export const STATE_CHARS_MAX = 64 * 1024;

const CHECK = schema.recordOf({
  storedTo: schema.orNull(schema.text),
  lastCutAt: schema.orNull(schema.text),
  lagMs: schema.finiteNumber,
  lagBytes: schema.wholeNumber,
  gapAt: schema.orNull(schema.text),
  gapWhy: schema.text,
  noBase: schema.text,
  failed: schema.text,
});

/** undefined: the line says something else. */
export function parseArchiveState(line: string): ArchiveState | undefined {
  const parsed = schema.parseJson<ArchiveState>(line, CHECK, STATE_CHARS_MAX);
  return parsed.kind === "parsed" ? parsed.value : undefined;
}
