// rehearse-backup.ts: one rehearsal from its private folder to its note beside the backup, which --list and the alpha read.
import { TwineError } from "../../core/errors.ts";
import type { FoundBackup } from "../list-backups.ts";
import { withScratch } from "../restore/scratch.ts";
import { rehearse, type RehearseOptions, type Rehearsal } from "./rehearse.ts";

/** The name of the note: `{"at": ISO 8601, "ok": boolean}`, as that of a verification. */
export const REHEARSED_NOTE = "rehearsed.json";

export interface RehearseBackupOptions extends Omit<RehearseOptions, "folder"> {
  /** Where the private folder is made. */
  readonly home: string;
}

/** Throws REHEARSAL_DIFFERS when what was restored is not what the backup holds, and what rehearse() throws. */
export async function rehearseBackup(
  found: FoundBackup,
  { home, ...options }: RehearseBackupOptions,
): Promise<Rehearsal> {
  const { target, manifest } = found;
  const note = (ok: boolean): Promise<void> => {
    const text = `${JSON.stringify({ at: options.clock.wallTime(), ok })}\n`;
    return target.writeNote(manifest.id, REHEARSED_NOTE, text);
  };
  const rehearsal = await withScratch(home, (folder) =>
    rehearse(found, { ...options, folder }),
  ).catch(async (error: unknown) => {
    // What is wrong with this machine says nothing of the backup.
    const isBroken = error instanceof TwineError && error.code === "BACKUP_BROKEN";
    if (isBroken) await note(false);
    throw error;
  });
  const { differences } = rehearsal;
  await note(differences.length === 0);
  if (differences.length === 0) return rehearsal;
  throw new TwineError(
    differences.map((text) => ({
      code: "REHEARSAL_DIFFERS",
      message: `${manifest.id}, restored into a scratch cluster: ${text}`,
      remedy: "rehearse another backup, and do not count on this one: twine-backup --list",
    })),
  );
}

/** One sentence for people. Pure. */
export function rehearsalText(rehearsal: Rehearsal): string {
  const { id, keys, partitions, compared, functions, tookMs } = rehearsal;
  const libraries =
    functions === 0
      ? ""
      : `, ${functions} ${functions === 1 ? "library" : "libraries"} of functions`;
  return (
    `${id}: ${keys} keys were restored into a scratch cluster of ${partitions} ` +
    `${partitions === 1 ? "partition" : "partitions"} in ${Math.ceil(tookMs / 1000)} s; ` +
    `all counted, ${compared} compared${libraries}: as in the backup\n`
  );
}
