// stamp.ts: whose data folder is this? Pure.
// The stamp is written before anything could run in the folder, so Redis's files without a stamp were never ours.
import { TwineError, type Problem } from "../../runtime/core/errors.ts";

export type StampDecision = "write" | "same";

const REDIS_FILES = /^appendonly|\.rdb$|\.aof(\.manifest)?$|^appendonlydir$/;

/**
 * Whether the stamp of a data folder must be written.
 * `entries`: names in the folder, undefined when there is none. `existing`: the stamp's text, undefined without one.
 * Throws DATA_FOREIGN for another cluster's folder, DATA_STAMP_UNREADABLE, DATA_UNSTAMPED for data that nobody stamped.
 */
export function decideStamp(input: {
  readonly path: string;
  readonly cluster: string;
  readonly wanted: string;
  readonly existing: string | undefined;
  readonly entries: readonly string[];
  readonly adopt: boolean;
}): StampDecision {
  const { path, cluster, wanted, existing, entries, adopt } = input;
  if (existing !== undefined) {
    if (existing.trim() === wanted.trim()) return "same";
    const owner = /^cluster (\S+)/.exec(existing)?.[1];
    // A full disk may have left it empty; whose the data is, only a person knows then.
    if (owner === undefined && adopt) return "write";
    throw new TwineError(owner === undefined ? unreadable(path) : foreign(path, cluster, owner));
  }
  const redisFiles = entries.filter((entry) => REDIS_FILES.test(entry));
  if (redisFiles.length === 0 || adopt) return "write";
  throw new TwineError({
    code: "DATA_UNSTAMPED",
    message:
      `${path} holds Redis data (${redisFiles.join(", ")}) without any cluster's stamp, ` +
      `so it may not be cluster ${cluster}'s`,
    remedy: "if it is, run twine-setup --adopt; if not, move that folder away",
  });
}

function unreadable(path: string): Problem {
  return {
    code: "DATA_STAMP_UNREADABLE",
    message: `${path} carries a stamp that can't be read, so it may be another cluster's`,
    remedy: "if it is this cluster's, run twine-setup --adopt; if not, move that folder away",
  };
}

function foreign(path: string, cluster: string, owner: string): Problem {
  return {
    code: "DATA_FOREIGN",
    message: `${path} belongs to cluster ${owner}, not to cluster ${cluster}`,
    remedy:
      "move that folder away, work in another folder with --dir, " +
      `or, if it was renamed, say "cluster ${owner}" in twine.conf`,
  };
}
