// stamp.ts: which cluster does a data folder belong to? Pure.
// The stamp is written before any process can run in the folder, so Redis files without a stamp are not Twine's.
import { TwineError, type Problem } from "../../../runtime/core/errors.ts";

export type StampDecision = "write" | "same";

const REDIS_FILES = /^appendonly|\.rdb$|\.aof(\.manifest)?$|^appendonlydir$/;

/**
 * Whether the stamp of a data folder must be written. `entries`: names in the folder, undefined when there is no folder.
 * `existing`: the stamp's text, undefined without one. Throws DATA_FOREIGN for another cluster's folder,
 * DATA_STAMP_UNREADABLE, DATA_UNSTAMPED for data without a stamp.
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
    // A full disk may have left it empty; then only the operator knows whose data it is.
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
    message: `${path} has a stamp that can't be read, so it may be another cluster's`,
    remedy: "if it is this cluster's, run twine-setup --adopt; if not, move that folder away",
  };
}

function foreign(path: string, cluster: string, owner: string): Problem {
  return {
    code: "DATA_FOREIGN",
    message: `${path} belongs to cluster ${owner}, not to cluster ${cluster}`,
    remedy:
      "move that folder away, work in another folder with --dir, " +
      `or, if the cluster was renamed, write "cluster ${owner}" in twine.conf`,
  };
}
