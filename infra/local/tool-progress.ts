// tool-progress.ts: chooses how a tool shows progress.
import { plainProgress, silentProgress, terminalProgress, type Progress } from "./progress.ts";

/** With --json nothing; on a terminal counting lines; otherwise plain lines. */
export function toolProgress(json: boolean): Progress {
  if (json) return silentProgress;
  const write = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  // A terminal that doesn't know its width (a recording, some CI) would get one letter per line.
  const isWide = process.stdout.isTTY && process.stdout.columns >= 40;
  return isWide ? terminalProgress(write) : plainProgress(write);
}
