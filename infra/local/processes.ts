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
    const fields = await statFields(pid);
    const state = fields[0];
    const ticks = fields[19];
    if (ticks === undefined || state === "Z" || state === "X") return undefined;
    return `${await bootId()} ${ticks}`;
  } catch {
    return undefined;
  }
}

/** What follows the command in /proc/PID/stat: the state, the parent and so on. The command in parentheses may itself
    hold spaces and parentheses, so fields count from the last one. Throws when the process is gone. */
async function statFields(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
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

/** The kernel's PF_EXITING, in field 9 of /proc/PID/stat: proc(5), include/linux/sched.h. */
const EXITING = 0x4;
const SIGKILL_BIT = 1n << 8n;

/**
 * Whether the process was killed and is on its way out. The kernel first frees its memory (half a second for a few
 * gigabytes) and only then closes its sockets; until that is done it looks alive. False where that can't be known.
 */
export async function isDying(pid: number): Promise<boolean> {
  if (process.platform !== "linux") return false;
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const pending = BigInt(`0x${/^SigPnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
    if ((pending & SIGKILL_BIT) !== 0n) return true;
    const flags = Number((await statFields(pid))[6]);
    return (flags & EXITING) !== 0;
  } catch {
    return false;
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
