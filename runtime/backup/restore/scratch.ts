// scratch.ts: the private folder of one restore. It holds all the data of a cluster, so it never stays behind.
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { errorText } from "../../core/error-text.ts";
import { TwineError } from "../../core/errors.ts";
import { isProcessAlive } from "../../ports/process-alive.ts";

const SCRATCH_PREFIX = "twine-restore-";

/** A folder in `home` that is removed at the end; those of killed restores are removed before. */
export async function withScratch<T>(
  home: string,
  task: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = made(home);
  try {
    return await task(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function made(home: string): string {
  try {
    sweepScratch(home);
    return mkdtempSync(join(home, `${SCRATCH_PREFIX}${process.pid}-`));
  } catch (error) {
    throw new TwineError(
      {
        code: "SCRATCH_FOLDER_BAD",
        message: `no private folder can be made in ${home}: ${errorText(error)}`,
        remedy: "name a folder that is there and that this user may write into: --scratch FOLDER",
      },
      { cause: error },
    );
  }
}

/** One that belongs to another user, or to a process that runs, is left alone. */
function sweepScratch(home: string): void {
  for (const name of readdirSync(home)) {
    const [, pid] = new RegExp(`^${SCRATCH_PREFIX}(\\d+)-`).exec(name) ?? [];
    if (pid === undefined || isProcessAlive(Number(pid))) continue;
    const folder = join(home, name);
    if (statSync(folder, { throwIfNoEntry: false })?.uid !== process.getuid?.()) continue;
    rmSync(folder, { recursive: true, force: true });
  }
}
