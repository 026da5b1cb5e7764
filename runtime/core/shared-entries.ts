// shared-entries.ts: checks the entries of the hashes that monitors and tools share on the status nodes. Pure.
// Any client with access to a status node can write anything there, so an entry counts only if it passes its check. A
// malformed entry is ignored, reported and removed (register/shared-hashes.ts).
import { reshardProgressCheck } from "./reshard-progress.ts";
import * as schema from "./schema.ts";

/** The hashes by their names in registerKeys. */
export type SharedHash = "observed" | "offsets" | "mailed" | "request" | "rotation";

/** The longest entry, in characters: 1000 suspects need a tenth of it. */
export const ENTRY_CHARS_MAX = 256 * 1024;
/** The most entries of one hash. Beyond it, answered requests are removed first. */
export const ENTRY_COUNT_MAX = 100_000;
/** Greater than any real sequence: five entries a second for seven million years. */
export const SEQUENCE_MAX = 2 ** 50;

const name = schema.textUpTo(256);

const restoreStep = schema.recordOf({
  step: schema.oneOf("begin", "release", "finish", "cancel"),
  token: name,
  by: schema.text,
  replicationIds: schema.listOf(name),
  masters: schema.listOf(schema.orNull(name)),
});
const alive = schema.recordOf({
  step: schema.oneOf("alive"),
  token: name,
  count: schema.wholeNumber,
});

const reshardAlive = schema.recordOf({
  step: schema.oneOf("alive"),
  token: name,
  count: schema.wholeNumber,
  progress: schema.orAbsent(reshardProgressCheck),
});

const reshardStep = schema.recordOf({
  step: schema.oneOf("begin", "switch", "fence", "commit", "undo", "cancel", "back", "stay"),
  token: name,
  by: schema.text,
  conf: schema.textUpTo(ENTRY_CHARS_MAX),
  masters: schema.listOf(schema.recordOf({ node: name, runId: name, replicationId: name })),
});

/** Checks of the bodies that this version knows. The alpha refuses other kinds, so those may hold anything. */
const BODY_CHECKS: Readonly<Record<string, schema.Check>> = {
  "accept-loss": schema.recordOf({ node: name }),
  handover: schema.recordOf({ node: name }),
  "promote-to": schema.recordOf({ node: name }),
  "forget-rescue": schema.recordOf({ node: name }),
  cut: schema.recordOf({ by: schema.text }),
  follow: schema.recordOf({
    step: schema.oneOf("begin", "mark", "unmark", "promote", "back", "copy", "stay", "finish"),
    partition: schema.wholeNumber,
    by: schema.text,
    host: name,
    port: schema.wholeNumber,
    replicationId: name,
    offset: schema.wholeNumber,
  }),
  restore: (value, path) =>
    alive(value, path) === undefined ? undefined : restoreStep(value, path),
  reshard: (value, path) =>
    reshardAlive(value, path) === undefined ? undefined : reshardStep(value, path),
};

const kindOnly = schema.recordOf({ kind: name });

const body: schema.Check = (value, path) => {
  const wrong = kindOnly(value, path);
  if (wrong !== undefined) return wrong;
  const { kind } = value as { kind: string };
  const check = Object.hasOwn(BODY_CHECKS, kind) ? BODY_CHECKS[kind] : undefined;
  return check?.(value, path);
};

const incident = schema.recordOf({
  id: name,
  kind: schema.oneOf("halt", "dead", "backup"),
  subject: schema.text,
  what: schema.text,
  need: schema.text,
  phase: schema.oneOf("open", "over", "resting"),
  times: schema.finiteNumber,
  isTold: schema.trueOrFalse,
  beganAt: schema.text,
  endedAt: schema.orNull(schema.text),
});

const CHECKS: Readonly<Record<SharedHash, schema.Check>> = {
  observed: schema.recordOf({
    sequence: schema.text,
    confDigest: schema.text,
    suspects: schema.listOf(name),
  }),
  offsets: schema.recordOf({
    replicationId: schema.text,
    offset: schema.finiteNumber,
    keys: schema.wholeNumber,
    epoch: schema.orAbsent(schema.wholeNumber),
  }),
  mailed: schema.recordOf({ incidents: schema.listOf(incident, 1000) }),
  rotation: schema.recordOf({
    passwords: schema.listOf(name, 2),
    target: schema.orNull(name),
    intent: schema.orNull(schema.oneOf("finish", "abort")),
    at: name,
  }),
  request: schema.recordOf({
    id: name,
    body,
    state: schema.oneOf("asked", "done", "refused"),
    // The message of a cut holds every partition's offset.
    message: schema.textUpTo(ENTRY_CHARS_MAX),
    isTaken: schema.orAbsent(schema.trueOrFalse),
    untilMs: schema.orAbsent(schema.wholeNumber),
  }),
};

export interface SharedEntry {
  /** 0 for requests: they have no sequence. */
  readonly sequence: number;
  readonly json: string;
}

/** Parses the entry under `field`; returns a string with the reason if it is malformed. */
export function readEntry(hash: SharedHash, field: string, entry: string): SharedEntry | string {
  const isNumbered = hash !== "request";
  const [, digits, numbered] = isNumbered ? (/^(\d{1,16}) (.*)$/s.exec(entry) ?? []) : [];
  const json = isNumbered ? numbered : entry;
  const sequence = Number(digits ?? 0);
  if (
    json === undefined ||
    sequence > (hash === "offsets" ? Number.MAX_SAFE_INTEGER : SEQUENCE_MAX)
  ) {
    return "it does not begin with a sequence number";
  }
  const parsed = schema.parseJson<{ readonly id?: unknown }>(json, CHECKS[hash], ENTRY_CHARS_MAX);
  if (parsed.kind === "malformed") return parsed.why;
  if (hash === "request" && parsed.value.id !== field) return "its id is not the name of its field";
  return { sequence, json };
}

/** One entry that was ignored and removed. */
export interface MalformedEntry {
  /** The status node that held it. */
  readonly node: string;
  readonly hash: SharedHash;
  /** Empty when the whole hash was removed. */
  readonly field: string;
  readonly why: string;
  /** ISO 8601, by the clock of the monitor that removed it. */
  readonly at: string;
}
