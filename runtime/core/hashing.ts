// hashing.ts: identifies the function that places the cluster's keys. Pure.
// The view records it. A process with another function would read nothing and write keys where other processes do not
// look for them. So routers, clients, tools and monitors compare their hashing with the view's before they do anything.
//
// A function is identified by its results, not by its name or path: `fingerprint` is a digest of the partitions of 256
// fixed keys (hash/probe-keys.ts). Two hashings are the same if kind, tag, number of partitions and fingerprint are
// equal.
import type { ClusterConfig, HashSetting, Settings } from "./cluster.ts";
import { parseHash, printHash } from "./conf/hash-setting.ts";
import { TwineError } from "./errors.ts";
import { fingerprintOfFunction } from "./hash/fingerprint.ts";
import { builtinPartition } from "./hash/partition-function.ts";

export interface Hashing {
  readonly kind: HashSetting["kind"];
  /** The built-in's name and its distribution if any, or the path in twine.conf. For display; compared only without a
      fingerprint. */
  readonly name: string;
  /** The two characters of hash-tag; null: the whole key is hashed. */
  readonly tag: string | null;
  readonly partitions: number;
  /** 16 hex digits (hash/fingerprint.ts). null for a module or an executable in a view of the previous version, which
      recorded only the path. The next alpha fills it in. */
  readonly fingerprint: string | null;
}

type HashSettings = Pick<Settings, "hash" | "hashTag" | "partitions">;

/** The hashing of these settings with the fingerprint of their function. */
export function hashingWith(settings: HashSettings, fingerprint: string | null): Hashing {
  const { hash, hashTag, partitions } = settings;
  return { kind: hash.kind, name: printHash(hash), tag: hashTag ?? null, partitions, fingerprint };
}

/** The hashing of a built-in function. For modules and executables use ports/hash-source.ts. */
export function builtinHashing(settings: HashSettings): Hashing {
  const { hash, hashTag, partitions } = settings;
  const fingerprint =
    hash.kind === "builtin"
      ? fingerprintOfFunction(builtinPartition(hash.name, partitions, hashTag, hash.distribution))
      : null;
  return hashingWith(settings, fingerprint);
}

/** Whether both put every key into the same partition. `own` without a fingerprint: the function was not called, so only
    the other fields are compared. `recorded` without one was written by the previous version: the path is compared. */
export function isSameHashing(recorded: Hashing, own: Hashing): boolean {
  const { kind, tag, partitions, fingerprint } = recorded;
  if (kind !== own.kind || tag !== own.tag || partitions !== own.partitions) return false;
  if (own.fingerprint === null) return true;
  return fingerprint === null ? recorded.name === own.name : fingerprint === own.fingerprint;
}

/** Short form for a table column: `crc32`, `crc32, hash tag {}`, `./my-hash.mjs (1f0c...)`. */
export function hashingName({ kind, name, tag, fingerprint }: Hashing): string {
  const known =
    kind === "builtin" || fingerprint === null ? shortName(kind, name) : `${name} (${fingerprint})`;
  return tag === null ? known : `${known}, hash tag ${tag}`;
}

/** Only the kind of a distribution: the servers of a ring would not fit in a line. */
function shortName(kind: Hashing["kind"], name: string): string {
  return kind === "builtin" ? name.split(" ", 2).join(" ") : name;
}

/** `./my-hash.mjs over 2 partitions, hash tag {} (fingerprint 1f0c...)`. */
export function describeHashing(hashing: Hashing): string {
  const { kind, name, tag, partitions, fingerprint } = hashing;
  const count = partitions === 1 ? "1 partition" : `${partitions} partitions`;
  const tagged = tag === null ? "no hash tag" : `hash tag ${tag}`;
  return `${shortName(kind, name)} over ${count}, ${tagged} (fingerprint ${fingerprint ?? "not recorded"})`;
}

/** Why this configuration must not route keys in the cluster of this view; undefined if it may. */
export function hashingMismatch(
  view: { readonly hashing?: Hashing },
  own: Hashing,
): string | undefined {
  const { hashing } = view;
  if (hashing === undefined || isSameHashing(hashing, own)) return undefined;
  return `the keys are placed by ${describeHashing(hashing)}, but this twine.conf says ${describeHashing(own)}`;
}

/** How to change a twine.conf with hashing `own` so that it matches `recorded` again. */
export function remedyForHashing(recorded: Hashing, own: Hashing): string {
  const now = linesOf(own);
  const lines = linesOf(recorded).filter((line) => !now.includes(line));
  if (lines.length > 0) return `write in twine.conf again: ${lines.join(", ")}`;
  // The lines are the same, so the content of the file has changed.
  const { name, fingerprint } = recorded;
  return `restore the function that was in ${name} when the keys were written (fingerprint ${fingerprint ?? "not recorded"})`;
}

function linesOf({ name, partitions, tag }: Hashing): string[] {
  return [
    `partitions ${partitions}`,
    `hash ${name}`,
    tag === null ? "no hash-tag line" : `hash-tag ${tag}`,
  ];
}

/** For a tool that must not route by another function. Throws HASHING_DIFFERS. */
export function requireSameHashing(
  view: { readonly hashing?: Hashing } | null | undefined,
  { file }: Pick<ClusterConfig, "file">,
  own: Hashing,
): void {
  const recorded = view?.hashing;
  if (recorded === undefined) return;
  const mismatch = hashingMismatch({ hashing: recorded }, own);
  if (mismatch === undefined) return;
  throw new TwineError({
    code: "HASHING_DIFFERS",
    message: `${file}: ${mismatch}`,
    remedy: remedyForHashing(recorded, own),
  });
}

/** The settings of a view's hashing; undefined for a module or an executable, because only twine.conf has its path. */
export function settingsOfHashing(hashing: Hashing): HashSettings | undefined {
  const hash = parseHash(hashing.name);
  if (typeof hash === "string" || hash.kind !== "builtin") return undefined;
  const { partitions, tag } = hashing;
  return { hash, partitions, ...(tag === null ? {} : { hashTag: tag }) };
}

/** Replaces the config's hash settings by those of the view. Throws HASHING_UNKNOWN if the view does not contain them. */
export function withHashing(
  config: ClusterConfig,
  { hashing }: { readonly hashing?: Hashing },
): ClusterConfig {
  const known = hashing === undefined ? undefined : settingsOfHashing(hashing);
  if (known !== undefined) return { ...config, settings: { ...config.settings, ...known } };
  throw new TwineError({
    code: "HASHING_UNKNOWN",
    message:
      hashing === undefined
        ? "the view does not name the hash of the keys"
        : `the keys lie by the ${hashing.kind} ${hashing.name}, which status nodes can't hand out`,
    remedy: "give the client the cluster's twine.conf instead of statusNodes",
  });
}

/** Parses the previous version's form: `crc32 over 2 partitions, hash tag {}`. undefined if the text has another form. */
export function hashingFromSentence(sentence: string): Hashing | undefined {
  const found = /^(.+) over (\d{1,9}) partitions, (?:no hash tag|hash tag (..))$/.exec(sentence);
  const hash = parseHash(found?.[1] ?? "");
  const partitions = Number(found?.[2]);
  if (typeof hash === "string" || !(partitions >= 1)) return undefined;
  const hashTag = found?.[3];
  return builtinHashing({ hash, partitions, ...(hashTag === undefined ? {} : { hashTag }) });
}
