// hashing-lines.ts: from the view's words for its hashing back to the lines of twine.conf that say so. Pure.
// Whoever changed one of these lines by mistake wants to know what stood there.
import type { ClusterConfig } from "../core/cluster.ts";
import { hashingOf } from "../core/hashing.ts";

/**
 * What to put back into a twine.conf whose hashing differs from `present`: only the lines that differ, or all of it in
 * the view's words when another version of Twine wrote them.
 */
export function linesToPutBack(present: string, config: ClusterConfig): readonly string[] {
  const before = linesOf(present);
  const now = linesOf(hashingOf(config)) ?? [];
  return before?.filter((line) => !now.includes(line)) ?? [`what says ${present}`];
}

/** As hashingOf words it: `crc32 over 2 partitions, hash tag {}`. */
function linesOf(hashing: string): string[] | undefined {
  const match = /^(.+) over (\d+) partitions, (?:no hash tag|hash tag (..))$/.exec(hashing);
  if (match === null) return undefined;
  const [, hash = "", partitions = "", tag] = match;
  return [
    `partitions ${partitions}`,
    `hash ${hash}`,
    tag === undefined ? "no hash-tag line" : `hash-tag ${tag}`,
  ];
}
