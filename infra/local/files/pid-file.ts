// pid-file.ts: records which process we started, so that no other process gets our signals.
//
//   pid         1234                                    the pid alone, as kill, monit and other programs read it
//   pid.start   1234 5f0d…-boot-id 8812345              the pid with its process's start time (processes.ts)
//   .lock       1234 \n 5f0d…-boot-id 8812345           one file, because it is claimed at once
//
// A pid counts only together with its start time, because the system reuses pids. A node's file counts only for a process
// that works in the node's folder: a copy of the folder has no processes.
import { link, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileError, readIfThere, systemCode, writeWhole } from "./files.ts";
import { startTimeOf, worksIn } from "../processes/processes.ts";

export interface RunningProcess {
  readonly pid: number;
  readonly startTime: string;
}

const MODE = 0o644;

/** The node's process that the pid file in its folder names, if that process still runs and works in this folder. */
export async function runningProcess(path: string): Promise<RunningProcess | undefined> {
  const named = await alive(await readPidFile(path));
  return named !== undefined && (await worksIn(named.pid, dirname(path))) ? named : undefined;
}

/** The process that the lock file names, if that process still runs. */
export async function lockHolder(path: string): Promise<RunningProcess | undefined> {
  return alive(oneFile((await readIfThere(path)) ?? ""));
}

async function readPidFile(path: string): Promise<RunningProcess | undefined> {
  const text = (await readIfThere(path)) ?? "";
  const record = (await readIfThere(startFile(path))) ?? "";
  const space = record.indexOf(" ");
  const found = { pid: pidOf(text), startTime: record.slice(space + 1).trim() };
  if (space > 0 && pidOf(record.slice(0, space)) === found.pid) return found;
  // The previous version wrote both into one file; its processes may still run.
  return oneFile(text);
}

function oneFile(text: string): RunningProcess | undefined {
  const [pid = "", startTime = ""] = text.split("\n");
  return startTime === "" ? undefined : { pid: pidOf(pid), startTime };
}

function pidOf(text: string): number {
  return Number(text.split("\n")[0]);
}

async function alive(found: RunningProcess | undefined): Promise<RunningProcess | undefined> {
  if (found === undefined || !Number.isSafeInteger(found.pid) || found.pid <= 1) return undefined;
  return (await isAlive(found)) ? found : undefined;
}

export async function isAlive(found: RunningProcess): Promise<boolean> {
  return (await startTimeOf(found.pid)) === found.startTime;
}

/** Records a process that was just started; undefined, and no file, if it has already ended. */
export async function writePidFile(path: string, pid: number): Promise<RunningProcess | undefined> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) return undefined;
  // The record first: a pid without its record does not count.
  await writeWhole(startFile(path), `${pid} ${startTime}\n`, MODE, true);
  await writeWhole(path, `${pid}\n`, MODE, true);
  return { pid, startTime };
}

function startFile(path: string): string {
  return `${path}.start`;
}

/** If it can't be removed (read-only disk), it does no harm: it names a process that has ended. */
export async function removePidFile(path: string): Promise<void> {
  for (const file of [path, startFile(path)]) {
    await rm(file, { force: true }).catch(() => undefined);
  }
}

/** Creates a lock file that names its holder; false if another holder's file exists. The file appears together with its
    content, so that no reader sees an empty claim and treats it as an old one. */
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
