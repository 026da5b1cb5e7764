// saving-progress.ts: how far a backup is, for whoever waits at a terminal.
import type { Clock } from "../ports/clock.ts";
import { progressText } from "./backup-text.ts";

const PROGRESS_EVERY_MS = 200;

/** One line on a terminal that is written anew; nothing elsewhere, for the result says it all. */
export function startProgress(clock: Clock, bytesExpected: number | undefined, isJson: boolean) {
  const isShown = process.stderr.isTTY && !isJson;
  const startedAtMs = clock.nowMs();
  let bytes = 0;
  let shownAtMs = 0;
  return {
    add: (count: number): void => {
      bytes += count;
      const nowMs = clock.nowMs();
      if (!isShown || nowMs - shownAtMs < PROGRESS_EVERY_MS) return;
      shownAtMs = nowMs;
      const line = progressText({ bytes, bytesExpected, elapsedMs: nowMs - startedAtMs });
      process.stderr.write(`\r\u001b[K${line}`);
    },
    end: (): void => {
      if (isShown && shownAtMs > 0) process.stderr.write("\r\u001b[K");
      shownAtMs = 0;
    },
  };
}
