// tool-progress.ts: which progress a tool shows, and Ctrl-C as a signal that the work itself can see.
import { plainProgress, silentProgress, terminalProgress, type Progress } from "./progress.ts";

/** JSON: silence; a terminal: counting lines; else plain lines. */
export function toolProgress(json: boolean): Progress {
  if (json) return silentProgress;
  const write = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  // A terminal that doesn't know its width (a recording, some CI) would get one letter per line.
  const isWide = process.stdout.isTTY && process.stdout.columns >= 40;
  return isWide ? terminalProgress(write) : plainProgress(write);
}

/** Aborts at the first SIGINT, SIGTERM or SIGHUP. Further ones are swallowed until `release`: tidying up must end. */
export function interruption(): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const abort = (): void => {
    controller.abort();
  };
  for (const name of names) process.on(name, abort);
  return {
    signal: controller.signal,
    release: () => {
      for (const name of names) process.off(name, abort);
    },
  };
}
