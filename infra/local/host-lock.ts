// host-lock.ts: one twine-setup, twine-start or twine-stop at a time per host folder.
// The lock names its holder with its start time, so that one left behind by a crash is never in the way.
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { TwineError, assert } from "../../runtime/core/errors.ts";
import { fileError, systemCode } from "./files.ts";
import { claimFile, namedProcess } from "./pid-file.ts";
import { commandOf, startTimeOf } from "./processes.ts";

/**
 * The folders must exist. Runs `work` while holding every lock of `paths`. Throws HOST_BUSY, naming the process that
 * holds one, and FILE_UNWRITABLE where a lock can't be written, unless `onUnwritable` takes that instead of an error.
 */
export async function withLocks<T>(
  paths: readonly string[],
  work: () => Promise<T>,
  onUnwritable?: (path: string, why: TwineError) => void,
): Promise<T> {
  const held: string[] = [];
  try {
    // One fixed order, so that two callers can't each hold what the other wants.
    for (const path of paths.toSorted()) {
      try {
        await takeLock(path);
        held.push(path);
      } catch (error) {
        if (onUnwritable === undefined || !isUnwritable(error)) throw error;
        // Who may hold the lock took it before the disk was full.
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
  const holder = await namedProcess(path);
  if (holder === undefined) return;
  const command = await commandOf(holder.pid);
  throw busy(path, `process ${holder.pid}${command === undefined ? "" : ` (${command})`}`);
}

function busy(path: string, who: string): TwineError {
  return new TwineError({
    code: "HOST_BUSY",
    message: `another command is at work in ${dirname(path)}: ${who}`,
    remedy: "let it finish, or end it, and try again",
  });
}
