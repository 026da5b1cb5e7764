// pause-writes.ts: stops the writes of a master that hands over, at a moment at which nobody waits in WAIT.
//
//   a batch of a router:   SET  SET  WAIT 1 ──blocked──▶ :1          the replicas are asked for their acknowledgement at the
//                                                               end of the turn in which WAIT was read
//   the same, with the pause in that turn:
//                          SET  SET  WAIT 1 ──blocked───────────▶ step down: -UNBLOCKED, connection closed
//
// While writes are paused a master does not ask its replicas (redis/src/server.c, beforeSleep); they tell by themselves once
// a second only, long after the master has stepped down. Then writes that every replica has would be reported as held by
// none. So when somebody waits, writes are let go on for a moment, in which the replicas are asked, and are paused anew.
// https://redis.io/docs/latest/commands/client-pause/, https://redis.io/docs/latest/commands/wait/
import type { Clock } from "../../ports/clock.ts";
import type { RedisLink, RedisReply } from "../../ports/redis-link.ts";
import type { Pause } from "../decide/pauses.ts";

/** Who waits for longer waits for more than the replicas can tell: for one that is gone, perhaps. */
const WAITED_FOR_MS = 200;

/**
 * CLIENT PAUSE WRITE for `forMs`; gives the pause that stands. With `waitersFirst` it is ended and begun anew while a client
 * is in WAIT, for 200 ms at most. Rejects with the node's error, or when the link breaks.
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
