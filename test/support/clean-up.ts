// clean-up.ts: the end of what a whole file or group of tests shares. What serves one test alone ends by onTestFinished.
import { afterAll } from "vitest";

export type CleanUp = (task: () => Promise<void>) => void;

/** Takes tasks that run after the last test of the file or group that calls this, the newest first. */
export function cleanUpAfterAll(): CleanUp {
  const tasks: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const task of tasks.reverse()) await task();
  });
  return (task) => void tasks.push(task);
}
