// look-twice.ts: reads the status nodes until the alpha's heartbeat has been seen to advance, or a lease passed.
// A view outlives its alpha: only a heartbeat that moves between two looks tells a true view from a stale one.
import type { ClusterConfig } from "../core/cluster.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import { openAcceptors } from "./acceptors.ts";
import { hasHeartbeatAdvanced, readRegister } from "./read.ts";
import type { Acceptor, RegisterReading } from "./register.ts";
import { within } from "./within.ts";

/** A status node that has not answered by then is silent; the others need not wait for it any longer. */
const SILENT_AFTER_MS = 1000;

export type Readings = readonly [RegisterReading, ...RegisterReading[]];

export interface LookOptions {
  readonly config: ClusterConfig;
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
}

/**
 * Two readings, the older first. Throws whatever `judgeFirst` throws, before the second look.
 * Takes a lease at most while a majority answers, a second more when some status node is silent.
 */
export async function lookTwice(
  options: LookOptions,
  judgeFirst: (first: RegisterReading) => void = () => undefined,
): Promise<Readings> {
  const { config, clock } = options;
  const opened = openAcceptors(options);
  const { cluster, leaseMs } = config.settings;
  try {
    const asked = opened.acceptors.map((acceptor) => withDeadline(clock, acceptor));
    const first = await firstLook(clock, asked, cluster);
    judgeFirst(first);
    // Those that were silent are not waited for again, but still count among all: a majority is one of all of them.
    const again = asked.map((acceptor) => withoutWaiting(acceptor, first));
    return [first, await lookAgain(clock, () => readRegister(again, cluster), first, leaseMs)];
  } finally {
    opened.close();
  }
}

function withDeadline(clock: Clock, acceptor: Acceptor): Acceptor {
  const read: Acceptor["read"] = (withBody) =>
    within(clock, SILENT_AFTER_MS, acceptor.read(withBody));
  return { ...acceptor, read };
}

function withoutWaiting(acceptor: Acceptor, { answered, silent }: RegisterReading): Acceptor {
  if (answered.includes(acceptor.name)) return acceptor;
  const why = new Error(silent.get(acceptor.name));
  return { ...acceptor, read: () => Promise.reject(why) };
}

/** A refusal is believed at once. Who is merely late, on a machine that has much to do, is asked again for a second. */
async function firstLook(
  clock: Clock,
  acceptors: readonly Acceptor[],
  cluster: string,
): Promise<RegisterReading> {
  const endMs = clock.nowMs() + SILENT_AFTER_MS;
  for (;;) {
    const reading = await readRegister(acceptors, cluster);
    const isLate = [...reading.silent.values()].some((why) => /no answer|timed? ?out/i.test(why));
    if (!isLate || clock.nowMs() >= endMs) return reading;
    await clock.delay(20);
  }
}

/** Until the heartbeat advanced and every voting node holds the view, or one lease passed: by then it should have. */
async function lookAgain(
  clock: Clock,
  read: () => Promise<RegisterReading>,
  first: RegisterReading,
  leaseMs: number,
): Promise<RegisterReading> {
  const endMs = clock.nowMs() + leaseMs;
  for (;;) {
    await clock.delay(leaseMs / 20);
    const reading = await read();
    const voters = reading.answered.filter((name) => !reading.silent.has(name));
    const isHeld = reading.confirmations === voters.length;
    const isSettled = isHeld && hasHeartbeatAdvanced(first, reading);
    if (isSettled || clock.nowMs() >= endMs) return reading;
  }
}
