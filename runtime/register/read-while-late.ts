// read-while-late.ts: how a tool reads status nodes that may be late, on a machine that is so busy that the tool needs seconds
// to start: then the first connections to all of them time out (seen).
import type { Clock } from "../ports/clock.ts";
import { readRegister } from "./read.ts";
import type { Acceptor, RegisterReading } from "./register.ts";

/** So long a tool waits for what it can't do without. */
export const NEEDED_WITHIN_MS = 5000;
/** A link that is down rejects at once; it reconnects by itself. */
const PAUSE_MS = 20;

/**
 * One reading of all status nodes. While a node is late it is repeated, for as long as `withinMs` says of what was read. A
 * node that refuses, or belongs to another cluster, is not waited for.
 */
export async function readWhileLate(
  clock: Clock,
  acceptors: readonly Acceptor[],
  cluster: string | undefined,
  withinMs: (reading: RegisterReading) => number,
): Promise<RegisterReading> {
  const startMs = clock.nowMs();
  for (;;) {
    const reading = await readRegister(acceptors, cluster);
    const isLate = [...reading.silent.values()].some(({ kind }) => kind === "no-answer");
    if (!isLate || clock.nowMs() - startMs >= withinMs(reading)) return reading;
    await clock.delay(PAUSE_MS);
  }
}
