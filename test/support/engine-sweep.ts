// engine-sweep.ts: ends what test engines run and removes what they leave, of this run or of one that was killed.
//
//   namespace twine-PID-NAME, folder /tmp/twine-engines-PID (in it: owner, the start time of process PID)
//
// A machine that runs tests again and again has all of that from runs that were killed. A run counts as alive only while a
// process of its number and its start time lives, because numbers come round.
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startTimeOf } from "../../infra/local/processes/processes.ts";
import { until } from "./redis-server.ts";

const run = promisify(execFile);

const FOLDER_PREFIX = "twine-engines-";
const SPACES = "/run/netns";

export function spaceOf(name: string, pid = process.pid): string {
  return `twine-${pid}-${name}`;
}

/** This run's folder, made and marked as its own. */
export async function claimFolder(): Promise<string> {
  const folder = folderOf(process.pid);
  const unfinished = `${folder}.new`;
  await mkdir(unfinished, { recursive: true });
  await writeFile(join(unfinished, "owner"), (await startTimeOf(process.pid)) ?? "");
  // At once with its mark: another run that sweeps at this moment takes a folder without one for a dead run's.
  await rename(unfinished, folder);
  return folder;
}

function folderOf(pid: number): string {
  return join(tmpdir(), `${FOLDER_PREFIX}${pid}`);
}

/**
 * Kills everything that runs in a namespace of ours (engine, containerd, shims, containers of its network), and the
 * containers with a namespace of their own: those stand on a file system below the engine's folder.
 */
export async function killProcesses(space: string, folder: string): Promise<void> {
  await until(`nothing runs in ${space}`, async () => {
    const pids = [...(await pidsInSpace(space)), ...(await pidsOnFolder(folder))];
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended in between.
      }
    }
    return pids.length === 0;
  });
}

async function pidsInSpace(space: string): Promise<number[]> {
  if (!existsSync(join(SPACES, space))) return [];
  try {
    const { stdout } = await run("ip", ["netns", "pids", space]);
    return stdout.split("\n").filter(Boolean).map(Number);
  } catch (error) {
    // As in removeSpace.
    if (existsSync(join(SPACES, space))) throw error;
    return [];
  }
}

async function pidsOnFolder(folder: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => {
    if (pid === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/mountinfo`, "utf8").includes(`${folder}/`);
    } catch {
      // It ended in between.
      return false;
    }
  });
}

/** Everything of one run: its processes, namespaces and folder. */
export async function removeRun(pid: number): Promise<void> {
  const folder = folderOf(pid);
  for (const space of (await spaces()).filter((name) => name.startsWith(`twine-${pid}-`))) {
    await killProcesses(space, folder);
    await removeSpace(space);
  }
  await killProcesses(spaceOf("none", pid), folder);
  await rm(folder, { recursive: true, force: true });
}

/** Another file of the tests may sweep the same dead run at this moment: what is gone is as wanted. */
async function removeSpace(space: string): Promise<void> {
  try {
    await run("ip", ["netns", "delete", space]);
  } catch (error) {
    if (existsSync(join(SPACES, space))) throw error;
  }
}

/** Removes the runs whose process no longer lives. */
export async function sweepLeftOvers(): Promise<void> {
  const folders = await readdir(tmpdir());
  const found = new Set([
    ...(await spaces()).map((name) => /^twine-(\d+)-/.exec(name)?.[1]),
    ...folders.map((name) => new RegExp(`^${FOLDER_PREFIX}(\\d+)$`).exec(name)?.[1]),
  ]);
  for (const owner of found) {
    if (owner !== undefined && !(await isAlive(Number(owner)))) await removeRun(Number(owner));
  }
}

async function isAlive(pid: number): Promise<boolean> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) return false;
  const owner = await readFile(join(folderOf(pid), "owner"), "utf8").catch(() => undefined);
  // Other tests have namespaces too, and no such folder: where nothing says otherwise, the number decides.
  return owner === undefined || owner === startTime;
}

async function spaces(): Promise<string[]> {
  return existsSync(SPACES) ? readdir(SPACES) : [];
}
