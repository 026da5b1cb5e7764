// host-lock.ts: one twine-setup, twine-start or twine-stop at a time per host folder.
// The lock names its holder with its start time, so that one left behind by a crash is never in the way.
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { TwineError, assert } from "../../runtime/core/errors.ts";
import { claimFile, namedProcess } from "./pid-file.ts";
import { commandOf, startTimeOf } from "./processes.ts";

/** The folders must exist. Runs `work` while holding every lock of `paths`. Throws HOST_BUSY, naming the process that holds one. */
export async function withLocks<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
  const held: string[] = [];
  try {
    // One fixed order, so that two callers can't each hold what the other wants.
    for (const path of paths.toSorted()) {
      await takeLock(path);
      held.push(path);
    }
    return await work();
  } finally {
    await Promise.all(held.map((path) => rm(path, { force: true })));
  }
}

async function takeLock(path: string): Promise<void> {
  const startTime = await startTimeOf(process.pid);
  assert(startTime !== undefined, "this process has a start time");
  const self = { pid: process.pid, startTime };
  if (await claimFile(path, self)) return;
  const holder = await namedProcess(path);
  if (holder === undefined) {
    await rm(path, { force: true });
    if (await claimFile(path, self)) return;
  }
  const command = holder === undefined ? undefined : await commandOf(holder.pid);
  throw new TwineError({
    code: "HOST_BUSY",
    message: `another command is at work in ${dirname(path)}: process ${holder?.pid ?? "unknown"}${
      command === undefined ? "" : ` (${command})`
    }`,
    remedy: "let it finish, or end it, and try again",
  });
}
