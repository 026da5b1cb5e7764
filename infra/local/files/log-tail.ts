// log-tail.ts: the last log lines of a process, for an error that gives the reason.
import { open, stat } from "node:fs/promises";

const TAIL_BYTES = 4096;

/** The current size of the log; 0 when there is none. */
export async function logSize(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/** The log from byte `from` on, at most its last 4 KB; empty when there is nothing. */
export async function logSince(path: string, from: number): Promise<string> {
  const size = await logSize(path);
  const start = Math.max(from, size - TAIL_BYTES);
  if (size <= start) return "";
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read({
      buffer: Buffer.alloc(size - start),
      position: start,
    });
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The last `count` lines, indented, each shortened to fit a screen. */
export function lastLines(text: string, count: number): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(-count)
    .map((line) => `    ${line.slice(0, 200)}`)
    .join("\n");
}
