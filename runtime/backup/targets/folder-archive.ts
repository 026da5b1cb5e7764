// folder-archive.ts: the archive's files in a folder beside the backups: FOLDER/CLUSTER-archive/.
//
//   NAME.part -> fsync -> rename to NAME -> fsync of the folder
import { createReadStream } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../ports/clock.ts";
import { createFile, isMissing, syncFolder } from "./durable-files.ts";
import { STALE_MS } from "./in-progress.ts";
import type { ArchiveStore, BackupFile } from "./target.ts";

const READ_BYTES = 256 * 1024;
const PART = ".part";

/** `folder` is absolute, and made when something is written. */
export function folderArchive(folder: string, clock: Clock): ArchiveStore {
  const path = (name: string): string => join(folder, name);
  const read = (name: string): AsyncIterable<Buffer> =>
    createReadStream(path(name), { highWaterMark: READ_BYTES });
  let isMade = false;
  const whole = async (name: string, fill: (file: BackupFile) => Promise<void>): Promise<void> => {
    if (!isMade) await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      const file = await createFile(path(name + PART));
      try {
        await fill(file);
      } finally {
        await file.close();
      }
      await rename(path(name + PART), path(name));
      await syncFolder(folder);
      isMade = true;
    } catch (error) {
      // Somebody may have removed it; of a full disk each half file would take more.
      isMade = false;
      await rm(path(name + PART), { force: true }).catch(() => undefined);
      throw error;
    }
  };
  return {
    sweep: async () => {
      for (const name of await namesIn(folder)) {
        if (!name.endsWith(PART)) continue;
        // Another archiver may be ending at this moment.
        const changedMs = (await stat(path(name)).catch(() => undefined))?.mtimeMs ?? 0;
        if (Date.parse(clock.wallTime()) - changedMs > STALE_MS)
          await rm(path(name), { force: true });
      }
    },
    list: () => namesIn(folder),
    put: (name, bytes) => whole(name, (file) => file.write(bytes)),
    join: (name, parts) =>
      whole(name, async (file) => {
        for (const part of parts) for await (const chunk of read(part)) await file.write(chunk);
      }),
    read,
    remove: (name) => rm(path(name), { force: true }),
  };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
