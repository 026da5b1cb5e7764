// durable-files.ts: files and names that are on the disk when a call resolves.
import { open } from "node:fs/promises";
import { GatheredWrites } from "../../ports/gathered-writes.ts";
import type { BackupFile } from "./target.ts";

export async function createFile(path: string): Promise<BackupFile> {
  const handle = await open(path, "w", 0o600);
  const gathered = new GatheredWrites(handle);
  return {
    write: (bytes) => gathered.write(bytes),
    close: async () => {
      try {
        await gathered.flush();
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
  };
}

/** A new name is on the disk only when its folder is. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
