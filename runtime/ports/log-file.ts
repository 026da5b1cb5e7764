// log-file.ts: writes log lines to a file descriptor and never stops the program. Lines that can't be written are
// counted.
//
//   line --written--> file
//     | ENOSPC, EIO, EPIPE, EAGAIN --> dropped and counted; before the next written line, a line reports the number
//
// A full disk under a log once blocked a monitor's work and its exit. So nothing is retried or kept in memory, and errors
// of the log are not thrown.
import { closeSync, fstatSync, openSync, readlinkSync, writeSync } from "node:fs";

export interface LogFile {
  /** Writes one line, which includes its newline. */
  write(line: string): void;
  /** The number of dropped lines since the start. */
  droppedCount(): number;
  /** Reopens the file's path, after the file was renamed or removed. Has no effect if the log is not a file, or if its
      path can't be opened. */
  reopen(): void;
}

/** `dropped` makes the line that reports how many lines are missing before it. */
export function logFile(fd: number, dropped: (count: number) => string): LogFile {
  // The file's name at the start: after a rename the system returns the new one.
  const path = pathOf(fd);
  let present = fd;
  let droppedCount = 0;
  let unreported = 0;
  let isLineOpen = false;

  const tryWrite = (line: string): boolean => {
    // A line that was only partly written on a full disk must not merge with the next one.
    const bytes = Buffer.from(isLineOpen ? `\n${line}` : line);
    try {
      const written = writeSync(present, bytes);
      isLineOpen = written > 0 && written < bytes.length;
      return written === bytes.length;
    } catch {
      return false;
    }
  };
  return {
    write: (line) => {
      if (unreported > 0 && tryWrite(dropped(unreported))) unreported = 0;
      if (unreported === 0 && tryWrite(line)) return;
      droppedCount += 1;
      unreported += 1;
    },
    droppedCount: () => droppedCount,
    reopen: () => {
      if (path === undefined) return;
      try {
        const next = openSync(path, "a", 0o600);
        // Standard output stays open, so that no other file gets its number.
        if (present !== fd) closeSync(present);
        present = next;
      } catch {
        // Keep the old file.
      }
    },
  };
}

/** The path of the regular file behind `fd`, if the system provides it (Linux). */
function pathOf(fd: number): string | undefined {
  try {
    if (!fstatSync(fd).isFile()) return undefined;
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return path.startsWith("/") && !path.endsWith(" (deleted)") ? path : undefined;
  } catch {
    return undefined;
  }
}
