// pause-writes.ts: pauses the writes of a master that hands over, at a moment when no client is blocked in WAIT.
//
//   a batch of a router:   SET  SET  WAIT 1 ──blocked──▶ :1          the master asks its replicas for acknowledgements at
//                                                               the end of the event-loop tick in which it read WAIT
//   the same, with the pause in that tick:
//                          SET  SET  WAIT 1 ──blocked───────────▶ step down: -UNBLOCKED, connection closed
//
// While writes are paused a master does not ask its replicas (redis/src/server.c, beforeSleep). They acknowledge unasked
// only once a second, long after the master has stepped down. Then writes that every replica has would be reported as held
// by none. So while a client is in WAIT, writes are unpaused for a moment, in which the replicas are asked, and paused
// again.
// https://redis.io/docs/latest/commands/client-pause/, https://redis.io/docs/latest/commands/wait/
import type { Clock } from "../../ports/clock.ts";
import type { RedisLink, RedisReply } from "../../ports/redis-link.ts";
import type { Pause } from "../decide/pauses.ts";

/** A client that is blocked longer probably waits for a replica that is gone. */
const WAITED_FOR_MS = 200;

/**
 * CLIENT PAUSE WRITE for `forMs`; resolves to the pause in effect. With `waitersFirst` the pause is ended and started again
 * while a client is in WAIT, for 200 ms at most. Rejects with the node's error, or when the link breaks.
 */
export async function pauseWrites(
  link: RedisLink,
  clock: Clock,
  { forMs, waitersFirst }: { readonly forMs: number; readonly waitersFirst: boolean },
): Promise<Pause> {
  const giveUpAtMs = clock.nowMs() + WAITED_FOR_MS;
  for (;;) {
    const sentAtMs = clock.nowMs();
    await link.call("CLIENT", "PAUSE", Math.ceil(forMs), "WRITE");
    const pause = { sinceMs: clock.nowMs(), untilMs: sentAtMs + forMs };
    if (!waitersFirst || pause.sinceMs >= giveUpAtMs) return pause;
    if (!hasWaiter(await link.call("CLIENT", "LIST", "TYPE", "normal"))) return pause;
    await link.call("CLIENT", "UNPAUSE");
  }
}

/** Whether a line of a CLIENT LIST shows a client that is blocked in WAIT. */
export function hasWaiter(clientList: RedisReply): boolean {
  if (typeof clientList !== "string") return false;
  return clientList
    .split("\n")
    .some((line) => / cmd=wait( |$)/.test(line) && / flags=[^ ]*b/.test(line));
}
