// predecessor.ts: ends the process that this one replaces.
import { readFile } from "node:fs/promises";

/** Sends SIGTERM. False when it has ended, or is another program by now: its command line lacks one of `words`. */
export async function askToEnd(pid: number, words: readonly string[]): Promise<boolean> {
  if (!Number.isSafeInteger(pid) || pid <= 1 || pid === process.pid) return false;
  if (process.platform === "linux") {
    const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const line = text.split("\0");
    if (!words.every((word) => line.some((part) => part === word || part.includes(`/${word}.`)))) {
      return false;
    }
  }
  try {
    process.kill(pid, "SIGTERM");
    return true;
  } catch {
    return false;
  }
}
