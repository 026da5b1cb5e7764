// large-value.ts: how much longer to wait for a node that has just reported a large command or reply. Pure.
// While Redis executes a large command and writes it to its AOF, it answers no other client. Measured on a busy machine: up
// to 12 ms for each MB (bench/large-value.ts).
import type { NodeInfo } from "../decide/nodes/info.ts";

const MS_PER_MB = 30;
/** The limit of the extra time, in down-afters. */
const DOWN_AFTERS_MOST = 10;

export function largeValueMs(info: NodeInfo | null, downAfterMs: number): number {
  const megabytes = (info?.largeValueBytes ?? 0) / 2 ** 20;
  return Math.min(MS_PER_MB * megabytes, DOWN_AFTERS_MOST * downAfterMs);
}
