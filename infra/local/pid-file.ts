// pid-file.ts: who we started, so that we end nobody else.
//
//   1234                                          the pid
//   5f0d…-boot-id 8812345                         its process's start time (processes.ts)
//
// The file of a node counts only for a process that works in the node's folder: a copy of the folder has no processes.
import { link, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileError, readIfThere, systemCode, writeWhole } from "./files.ts";
import { startTimeOf, worksIn } from "./processes.ts";

export interface RunningProcess {
  readonly pid: number;
  readonly startTime: string;
}

/** The node's process that the pid file in its folder names, when it still is that very process and this folder's. */
export async function runningProcess(path: string): Promise<RunningProcess | undefined> {
  const named = await namedProcess(path);
  return named !== undefined && (await worksIn(named.pid, dirname(path))) ? named : undefined;
}

/** The process that the file names, wherever it works, when it is still that very process. */
export async function namedProcess(path: string): Promise<RunningProcess | undefined> {
  const text = await readIfThere(path);
  const [pidText = "", startTime = ""] = (text ?? "").split("\n");
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 1 || startTime === "") return undefined;
  return (await startTimeOf(pid)) === startTime ? { pid, startTime } : undefined;
}

export async function isAlive(found: RunningProcess): Promise<boolean> {
  return (await startTimeOf(found.pid)) === found.startTime;
}

/** Remembers a process just started; undefined, and no file, when it has ended meanwhile. */
export async function writePidFile(path: string, pid: number): Promise<RunningProcess | undefined> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) return undefined;
  await writeWhole(path, `${pid}\n${startTime}\n`, 0o644, true);
  return { pid, startTime };
}

/** Where it can't be removed (a read-only disk) it stays, and does no harm: it names a process that is gone. */
export async function removePidFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
}

/** Creates a file that says who holds it; false when somebody else's stands there. The name appears together with
    its content, so that nobody reads an empty claim and takes it for an old one. */
export async function claimFile(path: string, holder: RunningProcess): Promise<boolean> {
  const beside = `${path}.${holder.pid}.${claims++}`;
  try {
    await writeFile(beside, `${holder.pid}\n${holder.startTime}\n`);
    await link(beside, path);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw fileError("write", path, error);
  } finally {
    await rm(beside, { force: true }).catch(() => undefined);
  }
}

/** Two claims of one process must not share the file that becomes the claim. */
let claims = 0;
