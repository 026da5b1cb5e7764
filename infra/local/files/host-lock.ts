// host-lock.ts: allows one twine-setup, twine-start or twine-stop at a time per host folder.
// The lock names its holder with its start time, so a lock left by a crash never blocks.
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { TwineError, assert } from "../../../runtime/core/errors.ts";
import { fileError, systemCode } from "./files.ts";
import { claimFile, lockHolder } from "./pid-file.ts";
import { commandOf, startTimeOf } from "../processes/processes.ts";

/**
 * Runs `work` while holding every lock of `paths`, whose folders must exist. Throws HOST_BUSY, which names the process that
 * holds one, and FILE_UNWRITABLE when a lock can't be written, unless `onUnwritable` is given: then that is called instead.
 */
export async function withLocks<T>(
  paths: readonly string[],
  work: () => Promise<T>,
  onUnwritable?: (path: string, why: TwineError) => void,
): Promise<T> {
  const held: string[] = [];
  try {
    // A fixed order, so that two callers can't deadlock.
    for (const path of paths.toSorted()) {
      try {
        await takeLock(path);
        held.push(path);
      } catch (error) {
        if (onUnwritable === undefined || !isUnwritable(error)) throw error;
        // A process may hold the lock since before the disk was full.
        await refuseHeld(path);
        onUnwritable(path, error);
      }
    }
    return await work();
  } finally {
    await Promise.all(held.map((path) => rm(path, { force: true })));
  }
}

const UNWRITABLE = new Set(["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM"]);

function isUnwritable(error: unknown): error is TwineError {
  return error instanceof TwineError && UNWRITABLE.has(systemCode(error.cause));
}

async function takeLock(path: string): Promise<void> {
  const startTime = await startTimeOf(process.pid);
  assert(startTime !== undefined, "this process has a start time");
  const self = { pid: process.pid, startTime };
  if (await claimFile(path, self)) return;
  await refuseHeld(path);
  await rm(path, { force: true }).catch((error: unknown) => {
    throw fileError("write", path, error);
  });
  if (!(await claimFile(path, self))) throw busy(path, "a process that came first");
}

async function refuseHeld(path: string): Promise<void> {
  const holder = await lockHolder(path);
  if (holder === undefined) return;
  const command = await commandOf(holder.pid);
  throw busy(path, `process ${holder.pid}${command === undefined ? "" : ` (${command})`}`);
}

function busy(path: string, who: string): TwineError {
  return new TwineError({
    code: "HOST_BUSY",
    message: `another command is running in ${dirname(path)}: ${who}`,
    remedy: "wait until it has finished, or end it, and try again",
  });
}
