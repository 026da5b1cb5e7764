// run-head.ts: the head of a run: one recording of all partitions without a gap and without a change of history. Pure.
//
// Whatever interrupts that begins another run: a failover (another replication id), another archiver, a gap. The head says from
// where on each partition is recorded, and which run it continues, if it does. So the heads and the names of the segments say
// what can be restored, and nothing else has to be read for it.
import * as schema from "../../core/schema.ts";
import type { Compression, Encryption } from "../manifest.ts";

export const RUN_FORMAT = 1;
export const RUN_BYTES_MAX = 16 * 1024 * 1024;

export interface RunStart {
  readonly replicationId: string;
  /** The first recorded byte is the one behind it. */
  readonly offset: number;
  /** In the run that this one continues: the history up to the offset has this id there. Absent: nothing is continued. */
  readonly before?: string;
}

export interface RunHead {
  readonly format: number;
  readonly run: string;
  readonly cluster: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly twineVersion: string;
  readonly compression: Compression;
  /** Absent: not encrypted. Compressed before. */
  readonly encryption?: Encryption;
  /** The run, and its block by which every partition had reached its start here. Absent: there is a gap before this run. */
  readonly continues?: { readonly run: string; readonly block: number };
  /** Why this run was begun, for people. */
  readonly why: string;
  /** By partition. */
  readonly starts: readonly RunStart[];
}

const CHECK = schema.recordOf({
  format: schema.wholeNumber,
  run: schema.textUpTo(64),
  cluster: schema.text,
  startedAt: schema.text,
  twineVersion: schema.text,
  compression: schema.oneOf("none", "zstd"),
  encryption: schema.orAbsent(
    schema.recordOf({ kind: schema.oneOf("age"), recipients: schema.listOf(schema.text) }),
  ),
  continues: schema.orAbsent(
    schema.recordOf({ run: schema.textUpTo(64), block: schema.wholeNumber }),
  ),
  why: schema.text,
  starts: schema.listOf(
    schema.recordOf({
      replicationId: schema.textUpTo(64),
      offset: schema.wholeNumber,
      before: schema.orAbsent(schema.textUpTo(64)),
    }),
    100_000,
  ),
});

/** Says why it can't be used; a newer format is named before anything in it is judged. */
export function parseRunHead(json: string): schema.Parsed<RunHead> {
  const version = schema.parseJson<{ format: number }>(
    json,
    schema.recordOf({ format: schema.wholeNumber }),
    RUN_BYTES_MAX,
  );
  if (version.kind === "malformed") return version;
  if (version.value.format > RUN_FORMAT) {
    const why = `its format is ${version.value.format}, and this version of Twine reads up to ${RUN_FORMAT}`;
    return { kind: "malformed", why };
  }
  return schema.parseJson<RunHead>(json, CHECK, RUN_BYTES_MAX);
}

export function printRunHead(head: RunHead): string {
  return `${JSON.stringify(head)}\n`;
}
