// progress-line.ts: how far a restore is, on a terminal.
import type { Clock } from "../../ports/clock.ts";
import { progressText } from "../backup-text.ts";

/** One line on a terminal that is overwritten; nothing elsewhere. */
export function progressLine(clock: Clock, isJson: boolean) {
  const isShown = process.stderr.isTTY && !isJson;
  const startedAtMs = clock.nowMs();
  return {
    show: ({
      phase,
      bytes,
      bytesTotal,
    }: {
      phase: string;
      bytes: number;
      bytesTotal: number;
    }): void => {
      if (!isShown) return;
      const line = progressText({
        bytes,
        bytesExpected: bytesTotal,
        elapsedMs: clock.nowMs() - startedAtMs,
      });
      process.stderr.write(`\r\u001b[K${phase}: ${line}`);
    },
    end: (): void => {
      if (isShown) process.stderr.write("\r\u001b[K");
    },
  };
}
