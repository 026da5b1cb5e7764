// hashing.ts: by what the keys lie where they lie: what must never change while the data lives. Pure.
// The view remembers it, so that whoever routes by another twine.conf is stopped instead of losing keys quietly.
import type { ClusterConfig, Settings } from "./cluster.ts";
import { parseHash } from "./conf/hash-setting.ts";
import { TwineError } from "./errors.ts";
import type { View } from "./view.ts";

/** The hash, the hash tag and the number of partitions, in words that can be compared and shown. */
export function hashingOf(config: ClusterConfig): string {
  const { hash, hashTag, partitions } = config.settings;
  const how = hash.kind === "builtin" ? hash.name : hash.path;
  return `${how} over ${partitions} partitions, ${hashTag === undefined ? "no hash tag" : `hash tag ${hashTag}`}`;
}

/** Why keys must not be sought by this configuration in the cluster of this view, or undefined. */
export function hashingClash(view: View, config: ClusterConfig): string | undefined {
  const wanted = hashingOf(config);
  const present = view.hashing ?? wanted;
  if (present === wanted) return undefined;
  return `the keys lie by ${present}, and this twine.conf says ${wanted}`;
}

/** For a tool that is to end rather than to go on by another hash. Throws HASHING_DIFFERS. */
export function requireSameHashing(view: View | null | undefined, config: ClusterConfig): void {
  const clash = view === null || view === undefined ? undefined : hashingClash(view, config);
  if (clash === undefined) return;
  throw new TwineError({
    code: "HASHING_DIFFERS",
    message: `${config.file}: ${clash}`,
    remedy:
      "put the old hash, hash-tag and partitions back: they never change while the data lives",
  });
}

/** The settings that hashingOf put into these words; undefined for any other words, and for a hash of the user's own,
    which is a file that only twine.conf can place. */
export function hashingFrom(
  words: string,
): Pick<Settings, "hash" | "partitions" | "hashTag"> | undefined {
  const found = /^(\S+) over (\d{1,9}) partitions, (?:no hash tag|hash tag (..))$/.exec(words);
  const hash = parseHash(found?.[1] ?? "");
  if (typeof hash === "string" || hash.kind !== "builtin") return undefined;
  const hashTag = found?.[3];
  const partitions = Number(found?.[2]);
  return { hash, partitions, ...(hashTag === undefined ? {} : { hashTag }) };
}
