// open-files.ts: the limit of open files and sockets of this process.
import { readFileSync } from "node:fs";

/** Read from Linux's /proc; undefined without it, or without a limit. */
export function openFilesMax(): number | undefined {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
