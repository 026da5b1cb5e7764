// end-child.ts: ends a child process that was just started and whose pid can't be recorded, because no tool could stop it
// later.
//
//   SIGTERM -> a moment -> SIGKILL -> until it is gone
//
// A process may miss a signal that arrives before its handler is installed. Killing is safe here: no client has written to
// it yet.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Returns when the child has ended. */
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
