// processes.ts: other processes of this machine: are they alive, since when, what are they.
// A pid is used again after its process ended, so a pid alone proves nothing: pid and start time together do.
import { execFile } from "node:child_process";
import { readFile, readlink, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { systemCode } from "./files.ts";

const run = promisify(execFile);

/** When the process started, in words that only compare for equality; undefined when it is gone or a zombie. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  return process.platform === "linux" ? linuxStartTime(pid) : psStartTime(pid);
}

/** Clock ticks since boot, together with the boot: ticks repeat after a reboot. */
async function linuxStartTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The command in parentheses may itself hold spaces and parentheses: fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const state = fields[0];
    const ticks = fields[19];
    if (ticks === undefined || state === "Z" || state === "X") return undefined;
    return `${await bootId()} ${ticks}`;
  } catch {
    return undefined;
  }
}

let knownBootId: string | undefined;

async function bootId(): Promise<string> {
  knownBootId ??= (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  return knownBootId;
}

async function psStartTime(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await run("ps", ["-o", "stat=,lstart=", "-p", String(pid)]);
    const [state = "", ...started] = stdout.trim().split(/\s+/);
    return state === "" || state.startsWith("Z") ? undefined : started.join(" ");
  } catch {
    return undefined;
  }
}

/**
 * Whether the process works in `folder`, or below it in data/. The kernel's own links are compared, not paths, so a
 * folder that was moved keeps its processes and a copy of it has none. True where that can't be known.
 */
export async function worksIn(pid: number, folder: string): Promise<boolean> {
  if (process.platform !== "linux") return true;
  const cwd = `/proc/${pid}/cwd`;
  try {
    const [own, data, here, above] = await Promise.all([
      inodeOf(folder),
      // May be a link to another disk, in which redis-server then works.
      inodeOf(join(folder, "data")).catch(() => undefined),
      inodeOf(cwd),
      inodeOf(`${cwd}/..`),
    ]);
    if (here === own || above === own || here === data) return true;
    // A `dir` edited by hand leads elsewhere; what the process says still goes to its log in the folder.
    return (await inodeOf(dirname(await readlink(`/proc/${pid}/fd/1`)))) === own;
  } catch (error) {
    // Another user's process shows neither.
    return ["EACCES", "EPERM"].includes(systemCode(error));
  }
}

async function inodeOf(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true });
  return `${dev}:${ino}`;
}

/** The command line as ps shows it, or undefined when it can't be known. */
export async function commandOf(pid: number): Promise<string | undefined> {
  try {
    if (process.platform === "linux") {
      const text = await readFile(`/proc/${pid}/cmdline`, "utf8");
      return text.replaceAll("\0", " ").trim() || undefined;
    }
    const { stdout } = await run("ps", ["-o", "command=", "-p", String(pid)]);
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Sends a signal; false when the process is gone already. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}
