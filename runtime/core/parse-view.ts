// parse-view.ts: parses and checks a published view. Pure.
// The view comes over the network, perhaps from another version of Twine. A missing field must give one clear sentence
// with the field's name, not a stack trace somewhere else. Unknown fields are kept.
import { TwineError } from "./errors.ts";
import { hashingFromSentence } from "./hashing.ts";
import {
  finiteNumber,
  listOf,
  oneOf,
  orAbsent,
  orNull,
  parseJson,
  recordOf,
  text,
  textUpTo,
  trueOrFalse,
  wholeNumber,
  type Check,
  type Parsed,
} from "./schema.ts";
import type { View } from "./view.ts";

/** A view of 1000 nodes has a third of a megabyte. */
const VIEW_CHARS_MAX = 16 * 1024 * 1024;
const NAME_CHARS_MAX = 256;
const TROUBLES_MAX = 16;
/** A ring of 1000 servers with long names. */
const HASH_CHARS_MAX = 128 * 1024;

const name = textUpTo(NAME_CHARS_MAX);

const rescue = recordOf({
  runId: text,
  kind: oneOf("saved", "kept"),
  place: orNull(text),
  why: text,
  at: text,
  upTo: orAbsent(recordOf({ replicationId: text, offset: finiteNumber })),
  isSeen: orAbsent(trueOrFalse),
});

const hashingRecord = recordOf({
  kind: oneOf("builtin", "module", "executable"),
  name: textUpTo(HASH_CHARS_MAX),
  tag: orNull(textUpTo(2)),
  partitions: wholeNumber,
  fingerprint: orNull(textUpTo(64)),
});

/** The previous version wrote a sentence. */
const hashing: Check = (value, path) =>
  typeof value === "string" ? sentence(value, path) : hashingRecord(value, path);

const sentence: Check = (value, path) =>
  typeof value === "string" && hashingFromSentence(value) !== undefined
    ? undefined
    : `${path} is not a hashing that this version knows`;

const failover = recordOf({
  from: name,
  isKnownDead: trueOrFalse,
  replicas: listOf(recordOf({ name, runId: orNull(text), inSync: trueOrFalse })),
});

const following = recordOf({
  host: name,
  port: wholeNumber,
  by: text,
  since: text,
  phase: oneOf("fencing", "copying", "fenced"),
  isBack: orAbsent(trueOrFalse),
  mark: orAbsent(recordOf({ replicationId: name, offset: wholeNumber })),
});

const partition = recordOf({
  index: wholeNumber,
  master: orNull(name),
  replicas: listOf(name),
  dead: listOf(name),
  replicationId: orNull(text),
  lastMaster: orNull(name),
  needs: orNull(text),
  promoting: orAbsent(orNull(name)),
  masterRunId: orAbsent(orNull(text)),
  failover: orAbsent(orNull(failover)),
  handover: orAbsent(
    orNull(recordOf({ from: name, to: name, phase: oneOf("pause", "step-down") })),
  ),
  following: orAbsent(orNull(following)),
  cameFrom: orAbsent(orNull(recordOf({ host: name, port: wholeNumber }))),
  handsBack: orAbsent(trueOrFalse),
  suspended: orAbsent(trueOrFalse),
});

const node = recordOf({
  name,
  kind: oneOf("data", "status", "monitor", "router"),
  host: name,
  port: wholeNumber,
  db: orNull(wholeNumber),
  partition: orNull(wholeNumber),
  role: oneOf("master", "replica", "up", "dead"),
  inSync: trueOrFalse,
  runId: orNull(text),
  syncedRunId: orAbsent(orNull(text)),
  since: text,
  version: orAbsent(textUpTo(64)),
  troubles: orAbsent(
    listOf(recordOf({ code: textUpTo(64), text, remedy: orNull(text) }), TROUBLES_MAX),
  ),
  retiring: orAbsent(trueOrFalse),
  otherConf: orAbsent(trueOrFalse),
  otherSettings: orAbsent(textUpTo(4096)),
  rescue: orAbsent(rescue),
  earlierRescues: orAbsent(listOf(rescue)),
});

const restore = recordOf({
  token: name,
  by: text,
  since: text,
  phase: oneOf("loading", "released"),
  replicationIds: listOf(name),
  isMixed: orAbsent(trueOrFalse),
});

const cut = recordOf({
  id: name,
  purpose: oneOf("backup"),
  by: text,
  since: text,
  epoch: wholeNumber,
  masters: listOf(name),
});

const reshard = recordOf({
  token: name,
  by: text,
  since: text,
  phase: oneOf("copying", "pausing", "draining", "fencing", "fenced", "undoing", "keeping"),
  conf: text,
  hashing: hashingRecord,
  isBack: orAbsent(trueOrFalse),
  marks: orAbsent(listOf(recordOf({ node: name, replicationId: name, offset: wholeNumber }))),
  failed: orAbsent(text),
  isCancelled: orAbsent(trueOrFalse),
});

const resharded = recordOf({
  at: text,
  hashings: listOf(hashingRecord),
  nodes: listOf(recordOf({ name, host: name, port: wholeNumber })),
});

const archive = recordOf({
  since: text,
  lastCutAt: orNull(text),
  lagSeconds: finiteNumber,
  lagBytes: finiteNumber,
  gapAt: orAbsent(text),
  gapWhy: orAbsent(text),
  noBase: orAbsent(text),
  failed: orAbsent(text),
  isLate: orAbsent(trueOrFalse),
});

const view = recordOf({
  cluster: name,
  state: oneOf("OK", "DEGRADED", "HALT"),
  epoch: wholeNumber,
  revision: wholeNumber,
  alpha: name,
  updatedAt: text,
  undecided: orAbsent(text),
  confDigest: text,
  hashing: orAbsent(hashing),
  partitions: listOf(partition),
  nodes: listOf(node),
  malformed: orAbsent(
    listOf(recordOf({ node: name, hash: name, field: text, why: text, at: text })),
  ),
  mailFailed: orAbsent(recordOf({ why: text, since: text })),
  backup: orAbsent(
    recordOf({
      lastAt: orNull(text),
      since: text,
      failed: orAbsent(text),
      isOverdue: orAbsent(trueOrFalse),
      archive: orAbsent(archive),
      rehearsal: orAbsent(recordOf({ lastAt: orNull(text), failed: orAbsent(text) })),
    }),
  ),
  restore: orAbsent(orNull(restore)),
  cut: orAbsent(orNull(cut)),
  reshard: orAbsent(orNull(reshard)),
  resharded: orAbsent(resharded),
  rotation: orAbsent(
    recordOf({
      target: name,
      phase: oneOf("rotating", "both", "finishing", "aborting"),
      since: text,
      without: listOf(name),
      finished: listOf(name),
    }),
  ),
});

/** Parses the view that a status node published, converted to this version's form. Malformed input gives the reason. */
export function readView(body: string): Parsed<View> {
  type Written = Omit<View, "hashing"> & { readonly hashing?: View["hashing"] | string };
  const parsed = parseJson<Written>(body, view, VIEW_CHARS_MAX);
  if (parsed.kind === "malformed") return parsed;
  const { hashing: written, ...rest } = parsed.value;
  const known = typeof written === "string" ? hashingFromSentence(written) : written;
  return { kind: "parsed", value: { ...rest, ...(known === undefined ? {} : { hashing: known }) } };
}

/** As readView, but throws VIEW_UNREADABLE with the first wrong field. */
export function parseView(body: string): View {
  const parsed = readView(body);
  if (parsed.kind === "parsed") return parsed.value;
  throw new TwineError(
    {
      code: "VIEW_UNREADABLE",
      message: `the view on the status nodes can't be read: ${parsed.why}`,
      remedy: "use the version of Twine that the monitors run; the alpha's next change rewrites it",
    },
    { cause: parsed.cause },
  );
}
