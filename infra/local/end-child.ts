// end-child.ts: ends a process that this one has just begun and can't remember, so that nobody is left to stop it.
//
//   SIGTERM -> a moment -> SIGKILL -> until it is gone
//
// A process may miss a signal that comes before it listens. Killing is safe here: nobody has written to it yet.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Returns when the child is gone. */
export async function endChild(child: ChildProcess, graceMs: number): Promise<void> {
  if (hasEnded(child)) return;
  const gone = once(child, "exit");
  const over = new AbortController();
  child.kill("SIGTERM");
  await Promise.race([gone, delay(graceMs, undefined, { signal: over.signal })]);
  if (!hasEnded(child)) child.kill("SIGKILL");
  await gone;
  over.abort();
}
