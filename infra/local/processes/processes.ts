// processes.ts: other processes of this machine: whether they run, since when, and what they are.
// The system reuses a pid after its process ended, so a pid alone proves nothing: pid and start time together do.
import { execFile } from "node:child_process";
import { readFile, readlink, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { systemCode } from "../files/files.ts";

const run = promisify(execFile);

/** When the process started, as a text that is only compared for equality; undefined when it has ended or is a zombie. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  return process.platform === "linux" ? linuxStartTime(pid) : psStartTime(pid);
}

/** Clock ticks since boot, together with the boot id: ticks repeat after a reboot. */
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

/** The fields after the command in /proc/PID/stat: the state, the parent and so on. The command in parentheses may itself
    contain spaces and parentheses, so fields are counted from the last one. Throws when the process has ended. */
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
 * Whether the process was killed and is exiting. The kernel first frees its memory (half a second for a few gigabytes) and
 * only then closes its sockets; until then it looks alive. False when that can't be known.
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
 * Whether the process works in `folder`, or below it in data/. Compares the kernel's own links, not paths, so a folder that
 * was moved keeps its processes and a copy of it has none. True when that can't be known.
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
    // A `dir` edited by hand points elsewhere; the process's output still goes to its log in the folder.
    return (await inodeOf(dirname(await readlink(`/proc/${pid}/fd/1`)))) === own;
  } catch (error) {
    // For another user's process neither is readable.
    return ["EACCES", "EPERM"].includes(systemCode(error));
  }
}

async function inodeOf(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true });
  return `${dev}:${ino}`;
}

/** The command line as ps shows it; undefined when it can't be known. */
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

export type Signalled = "sent" | "gone" | "forbidden";

/** Sends a signal. forbidden: the process is another user's. */
export function signalProcess(pid: number, signal: NodeJS.Signals): Signalled {
  try {
    process.kill(pid, signal);
    return "sent";
  } catch (error) {
    return systemCode(error) === "EPERM" ? "forbidden" : "gone";
  }
}

/** Whether the process was stopped by SIGSTOP or Ctrl-Z and does nothing until SIGCONT. False when that can't be known. */
export async function isPaused(pid: number): Promise<boolean> {
  try {
    if (process.platform === "linux") return (await statFields(pid))[0] === "T";
    const { stdout } = await run("ps", ["-o", "stat=", "-p", String(pid)]);
    return stdout.trim().startsWith("T");
  } catch {
    return false;
  }
}

/** The process's user, as a name or a number; undefined when that can't be known. */
export async function ownerOf(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await run("ps", ["-o", "user=", "-p", String(pid)]);
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** The process's working folder; undefined when that can't be known. */
export async function folderOf(pid: number): Promise<string | undefined> {
  try {
    if (process.platform === "linux") return await readlink(`/proc/${pid}/cwd`);
    const { stdout } = await run("lsof", ["-a", "-p", String(pid), "-d", "cwd", "-Fn"]);
    return /^n(.*)$/m.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}
