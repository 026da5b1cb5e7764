// prune-archive.ts: what no kept backup needs of a target's archive is removed.
import type { BackupTarget } from "../targets/target.ts";
import { readArchiveIndex } from "./archive-index.ts";
import { unneededFiles } from "./archive-path.ts";

/** After backups were removed. Without any backup nothing is: one may be under way. */
export async function pruneArchive(
  target: Pick<BackupTarget, "list" | "archive">,
): Promise<readonly string[]> {
  const [oldest] = await target.list();
  if (oldest === undefined) return [];
  const gone = unneededFiles(await readArchiveIndex(target.archive), oldest.startedAtMs);
  for (const name of gone) await target.archive.remove(name);
  return gone;
}
