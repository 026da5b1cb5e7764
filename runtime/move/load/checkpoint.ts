// checkpoint.ts: how far a load has come, for the next run after a crash: a small file that is replaced as a whole.
//
//   copying: the cluster holds a part   following: it had everything, from these marks on   switched: the application may use the cluster
//   ended: a user ended it; the application may have used the cluster since
import * as schema from "../../core/schema.ts";
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import type { HistoryMark } from "../../core/view.ts";
import type { ShardMark } from "./loading.ts";

export interface Marks {
  /** By shard. */
  readonly sources: readonly ShardMark[];
  /** By partition: the cluster's masters had everything up to the sources' marks there. */
  readonly targets: readonly HistoryMark[];
}

export interface Checkpoint {
  readonly format: number;
  /** As on the command line. */
  readonly source: string;
  readonly cluster: string;
  /** Of the source and of the cluster: with another one, the marks mean nothing. */
  readonly layout: string;
  readonly phase: "copying" | "following" | "switched" | "ended";
  /** The cluster held no key when the load began, and only the load was to write to it. */
  readonly wasEmpty: boolean;
  /** Absent while copying, and a moment longer. */
  readonly marks?: Marks;
}

export const CHECKPOINT_FORMAT = 1;
const LAYOUT_CHARS_MAX = 1024 * 1024;

const HISTORY = { replicationId: schema.text, offset: schema.wholeNumber };
const CHECK = schema.recordOf({
  format: schema.wholeNumber,
  source: schema.text,
  cluster: schema.text,
  layout: schema.textUpTo(LAYOUT_CHARS_MAX),
  phase: schema.oneOf("copying", "following", "switched", "ended"),
  wasEmpty: schema.trueOrFalse,
  marks: schema.orAbsent(
    schema.recordOf({
      sources: schema.listOf(schema.recordOf({ ...HISTORY, db: schema.finiteNumber })),
      targets: schema.listOf(schema.recordOf(HISTORY)),
    }),
  ),
});

/** Throws CHECKPOINT_BAD when it is none, or of another source or cluster. Pure. */
export function parseCheckpoint(
  text: string,
  file: string,
  { source, cluster }: Pick<Checkpoint, "source" | "cluster">,
): Checkpoint {
  const bad = (why: string, remedy: string): TwineError =>
    new TwineError({ code: "CHECKPOINT_BAD", message: `${file}: ${why}`, remedy });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(errorText(error), "name another file, or remove this one and begin anew");
  }
  const wrong = CHECK(value, "");
  if (wrong !== undefined) throw bad(wrong, "name another file, or remove this one and begin anew");
  const found = value as Checkpoint;
  if (found.format !== CHECKPOINT_FORMAT) {
    throw bad(`it is of another version of twine-load`, "end the load with that version");
  }
  if (found.source !== source || found.cluster !== cluster) {
    throw bad(
      `it is of a load from ${found.source} into the cluster ${found.cluster}`,
      "name a file of its own for each load",
    );
  }
  return found;
}

/** Without what only the process that wrote it can know. Pure. */
export function checkpointText(checkpoint: Checkpoint): string {
  return `${JSON.stringify(checkpoint, (key, value: unknown) => (key === "offsetMax" ? undefined : value), 1)}\n`;
}
