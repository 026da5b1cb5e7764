// interruption.ts: Ctrl-C and other requests to end a tool, as an AbortSignal for the work.
import { fstatSync } from "node:fs";
import { Socket } from "node:net";

/** Calls `task` at each SIGINT, SIGTERM and SIGHUP. */
export function onInterruption(task: (reason: Error) => void): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      task(new Error(`interrupted by ${name}`));
    });
  }
}

/** Aborts at the first SIGINT, SIGTERM or SIGHUP. Later ones are ignored: the tool is cleaning up. */
export function interruption(): AbortSignal {
  const abort = new AbortController();
  onInterruption((reason) => {
    abort.abort(reason);
  });
  return abort.signal;
}

/** Also aborts when the process that started this one, and holds the other end of its standard input, has ended. */
export function interruptionOrOrphaned(): AbortSignal {
  const abort = new AbortController();
  const input = fstatSync(0);
  if (input.isFIFO() || input.isSocket()) {
    const end = (): void => {
      abort.abort(new Error("the process that started this one is gone"));
    };
    process.stdin.once("end", end).once("error", end).resume();
    // Standard input must not keep the process alive.
    if (process.stdin instanceof Socket) process.stdin.unref();
  }
  return AbortSignal.any([interruption(), abort.signal]);
}
