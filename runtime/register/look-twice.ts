// look-twice.ts: reads the status nodes until the alpha's heartbeat has advanced, or a lease has passed.
// A view stays after its alpha has died: only a heartbeat that advances between two readings shows that it is current.
import { majorityOf, type ClusterConfig } from "../core/cluster.ts";
import type { Secret } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import { openAcceptors } from "./acceptors.ts";
import { NEEDED_WITHIN_MS, readWhileLate } from "./read-while-late.ts";
import { hasHeartbeatAdvanced, readRegister } from "./read.ts";
import type { Acceptor, RegisterReading } from "./register.ts";
import { within } from "./within.ts";

/** A status node without a reply by then is silent; the caller does not wait longer for it. */
const SILENT_AFTER_MS = 1000;

export type Readings = readonly [RegisterReading, ...RegisterReading[]];

export interface LookOptions {
  readonly config: ClusterConfig;
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
}

/**
 * Two readings, the older first. Rethrows the error of `judgeFirst`, before the second reading.
 * Takes at most a lease if all status nodes reply, a second more if some are silent, and 5 s
 * more if so many are that no majority is left.
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
    const first = await readWhileLate(clock, asked, cluster, ({ answered }) =>
      answered.length >= majorityOf(asked.length) ? SILENT_AFTER_MS : NEEDED_WITHIN_MS,
    );
    judgeFirst(first);
    // Silent nodes are not read again, but still count: a majority is one of all status nodes.
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
  const cause = silent.get(acceptor.name)?.cause ?? new Error("no answer");
  return { ...acceptor, read: () => Promise.reject(cause) };
}

/** Reads until the heartbeat has advanced and every voting node holds the view, or one lease has passed. */
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
