// manifest.ts: what a backup says of itself: manifest.json, written last, so that a folder without one is no backup. Pure.
// The format is a promise: restores of later versions read it. A field may be added; changing one needs a new `format`.
import { CUT_CHECK, type Cut } from "../core/cut.ts";
import type { Hashing } from "../core/hashing.ts";
import * as schema from "../core/schema.ts";

export const MANIFEST_NAME = "manifest.json";
export const MANIFEST_FORMAT = 1;
export const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;

export type Compression = "none" | "zstd";

export interface Manifest {
  readonly format: number;
  /** The folder's name: CLUSTER-YYYYMMDDTHHMMSSZ-1a2b3c. */
  readonly id: string;
  readonly cluster: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly endedAt: string;
  readonly twineVersion: string;
  /** twine.conf as it was. */
  readonly conf: string;
  readonly hashing: Hashing;
  readonly compression: Compression;
  /** Absent: not encrypted. Compressed before. */
  readonly encryption?: Encryption;
  /** All partitions hold the state of one moment; false: each that of its own. */
  readonly isConsistent: boolean;
  /** Where the feeds end; absent: what counts is each RDB's own moment. */
  readonly cut?: Cut;
  readonly partitions: readonly SavedPartition[];
}

/** The writes from a partition's RDB on, as its node told its replicas. It may go on behind the cut. */
export interface SavedFeed {
  readonly file: string;
  /** Of the file as it lies there. */
  readonly bytes: number;
  readonly sha256: string;
  /** Of the feed inside; its first byte is the one behind the RDB's offset. */
  readonly feedBytes: number;
  /** Absent where it is encrypted. */
  readonly feedSha256?: string;
  /** Of its end: another one than the RDB's after a failover. */
  readonly replicationId: string;
}

/** Each file is one of age, for whoever has the secret key of one of these public ones. */
export interface Encryption {
  readonly kind: "age";
  readonly recipients: readonly string[];
}

export interface SavedPartition {
  readonly partition: number;
  /** The database that holds the cluster's keys of it. */
  readonly db: number;
  readonly file: string;
  /** Of the file as it lies there. */
  readonly bytes: number;
  readonly sha256: string;
  /** Of the RDB inside. */
  readonly rdbBytes: number;
  /** Absent where it is encrypted: it would tell whether the data is what somebody guesses. */
  readonly rdbSha256?: string;
  readonly magic: string;
  readonly rdbVersion: number;
  readonly serverVersion: string;
  /** The history that it lies on, and how many bytes of it. */
  readonly replicationId: string;
  readonly offset: number;
  /** The database of the change feed's first command behind it; -1: none yet. */
  readonly feedDb: number;
  /** Whom it was taken from, and as what. */
  readonly node: string;
  readonly role: "master" | "replica";
  readonly takenAt: string;
  readonly keys: number;
  readonly keysWithExpiry: number;
  readonly keysByType: Readonly<Record<string, number>>;
  /** Libraries of functions. */
  readonly functions: readonly string[];
  readonly feed?: SavedFeed;
  /** Keys whose hash names another partition, and a few of them as base64; none where it is encrypted. */
  readonly misplaced: { readonly count: number; readonly examples: readonly string[] };
}

const FILE_NAME: schema.Check = (value, path) =>
  typeof value === "string" && /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(value)
    ? undefined
    : `${path} is not the name of a file in the backup`;
const SHA256: schema.Check = (value, path) =>
  typeof value === "string" && /^[0-9a-f]{64}$/.test(value) ? undefined : `${path} is no SHA-256`;
const COUNTS: schema.Check = (value, path) => {
  const numbers: unknown[] =
    typeof value === "object" && value !== null ? Object.values(value) : [undefined];
  return numbers.every((number) => typeof number === "number")
    ? undefined
    : `${path} does not hold numbers alone`;
};

const CHECK = schema.recordOf({
  format: schema.wholeNumber,
  id: FILE_NAME,
  cluster: schema.text,
  startedAt: schema.text,
  endedAt: schema.text,
  twineVersion: schema.text,
  conf: schema.textUpTo(16 * 1024 * 1024),
  hashing: schema.recordOf({
    kind: schema.oneOf("builtin", "module", "executable"),
    name: schema.textUpTo(128 * 1024),
    tag: schema.orNull(schema.text),
    partitions: schema.wholeNumber,
    fingerprint: schema.orNull(schema.text),
  }),
  compression: schema.oneOf("none", "zstd"),
  encryption: schema.orAbsent(
    schema.recordOf({ kind: schema.oneOf("age"), recipients: schema.listOf(schema.text) }),
  ),
  isConsistent: schema.trueOrFalse,
  cut: schema.orAbsent(CUT_CHECK),
  partitions: schema.listOf(
    schema.recordOf({
      partition: schema.wholeNumber,
      db: schema.wholeNumber,
      file: FILE_NAME,
      bytes: schema.wholeNumber,
      sha256: SHA256,
      rdbBytes: schema.wholeNumber,
      rdbSha256: schema.orAbsent(SHA256),
      magic: schema.oneOf("REDIS", "VALKEY"),
      rdbVersion: schema.wholeNumber,
      serverVersion: schema.text,
      replicationId: schema.text,
      offset: schema.wholeNumber,
      feedDb: schema.finiteNumber,
      node: schema.text,
      role: schema.oneOf("master", "replica"),
      takenAt: schema.text,
      keys: schema.wholeNumber,
      keysWithExpiry: schema.wholeNumber,
      keysByType: COUNTS,
      functions: schema.listOf(schema.text),
      feed: schema.orAbsent(
        schema.recordOf({
          file: FILE_NAME,
          bytes: schema.wholeNumber,
          sha256: SHA256,
          feedBytes: schema.wholeNumber,
          feedSha256: schema.orAbsent(SHA256),
          replicationId: schema.text,
        }),
      ),
      misplaced: schema.orAbsent(
        schema.recordOf({ count: schema.wholeNumber, examples: schema.listOf(schema.text) }),
      ),
    }),
    100_000,
  ),
});

/** Says why it can't be used; a newer format is named before anything in it is judged. */
export function parseManifest(json: string): schema.Parsed<Manifest> {
  const version = schema.parseJson<{ format: number }>(
    json,
    schema.recordOf({ format: schema.wholeNumber }),
    MANIFEST_BYTES_MAX,
  );
  if (version.kind === "malformed") return version;
  if (version.value.format > MANIFEST_FORMAT) {
    const why = `its format is ${version.value.format}, and this version of Twine reads up to ${MANIFEST_FORMAT}`;
    return { kind: "malformed", why };
  }
  const parsed = schema.parseJson<Manifest>(json, CHECK, MANIFEST_BYTES_MAX);
  if (parsed.kind === "malformed") return parsed;
  const why = gapIn(parsed.value);
  return why === undefined ? parsed : { kind: "malformed", why };
}

/** Every partition once, in order, each in files of its own, with a feed that holds the cut when there is one. */
function gapIn({ partitions, hashing, cut, encryption }: Manifest): string | undefined {
  if (partitions.length !== hashing.partitions) {
    return `it holds ${partitions.length} partitions of ${hashing.partitions}`;
  }
  const wrong = partitions.findIndex(({ partition }, index) => partition !== index);
  if (wrong >= 0) return `partitions[${wrong}] is not partition ${wrong}`;
  const files = partitions.flatMap(({ file, feed }) => [file, ...(feed ? [feed.file] : [])]);
  if (new Set(files).size < files.length) return "two parts of it lie in one file";
  const bare = partitions.find(
    ({ rdbSha256, feed }) =>
      rdbSha256 === undefined || (feed !== undefined && feed.feedSha256 === undefined),
  );
  if (bare !== undefined && encryption === undefined) {
    return `partition ${bare.partition} has no digest of what is in its files`;
  }
  if (cut === undefined) return undefined;
  const uncut = partitions.findIndex((saved, index) => bytesToCut(saved, cut, index) === undefined);
  return uncut >= 0 || cut.marks.length !== partitions.length
    ? `the feed of partition ${Math.max(uncut, 0)} does not hold its cut`
    : undefined;
}

/** So much of a partition's feed belongs to the cut; undefined: the feed does not hold it. */
export function bytesToCut(
  { offset, feed }: Pick<SavedPartition, "offset" | "feed">,
  cut: Cut,
  partition: number,
): number | undefined {
  const mark = cut.marks[partition];
  if (mark === undefined || feed?.replicationId !== mark.replicationId) return undefined;
  const bytes = mark.offset - offset;
  return bytes >= 0 && bytes <= feed.feedBytes ? bytes : undefined;
}

export function printManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/**
 * `at` is ISO 8601; `suffix` three hex digits that keep two backups of one millisecond apart. The milliseconds, as three hex
 * digits too, stand before it: so the ids of one second are in the order of their backups.
 */
export function backupId(cluster: string, at: string, suffix: string): string {
  const [, seconds = at, ms = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(at) ?? [];
  const milliseconds = Number(ms.slice(0, 3).padEnd(3, "0"));
  return `${cluster}-${seconds.replaceAll(/[-:]/g, "")}Z-${milliseconds.toString(16).padStart(3, "0")}${suffix}`;
}

/** The older first; of two that began in one second, their ids tell which is older. */
export function byStart(a: BegunBackup, b: BegunBackup): number {
  return a.startedAtMs - b.startedAtMs || (a.id === b.id ? 0 : a.id < b.id ? -1 : 1);
}

export interface BegunBackup {
  readonly id: string;
  readonly startedAtMs: number;
}

/** When the backup of that name began, in Unix milliseconds; undefined when it is not one of this cluster's. */
export function startOfId(cluster: string, id: string): number | undefined {
  if (!id.startsWith(`${cluster}-`)) return undefined;
  const [, date, time] = /^(\d{8})T(\d{6})Z-[0-9a-f]{6}$/.exec(id.slice(cluster.length + 1)) ?? [];
  if (date === undefined || time === undefined) return undefined;
  const day = date.replace(/^(....)(..)(..)$/, "$1-$2-$3");
  const ms = Date.parse(`${day}T${time.replace(/^(..)(..)(..)$/, "$1:$2:$3")}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
