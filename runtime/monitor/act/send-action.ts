// send-action.ts: sends an alpha's actions as Redis commands, on an open link.
// https://redis.io/docs/latest/commands/replicaof/, https://redis.io/docs/latest/commands/client-pause/
import type { Clock } from "../../ports/clock.ts";
import type { RedisLink } from "../../ports/redis-link.ts";
import type { Action } from "../decide/actions.ts";
import { NOWHERE } from "../decide/nodes/info.ts";
import type { Pause } from "../decide/pauses.ts";
import { pauseWrites } from "./pause-writes.ts";

/** An action that is a command to the node; a rescue is not, because it does not change the node. */
export type Order = Exclude<Action, { kind: "rescue" }>;

/** Sends the command; resolves when the node has executed it. Rejects with the node's error, or when the link breaks. */
export async function sendOrder(
  link: RedisLink,
  order: Order,
  clock: Clock,
  pauses: Map<string, Pause>,
): Promise<void> {
  switch (order.kind) {
    case "promote":
      await link.call("REPLICAOF", "NO", "ONE");
      return;
    case "repoint":
      await link.call("REPLICAOF", order.master.host, order.master.port);
      return;
    case "detach":
      await link.call("REPLICAOF", NOWHERE.host, NOWHERE.port);
      return;
    case "pause":
      pauses.set(order.node, await pauseWrites(link, clock, order));
      return;
    case "unpause":
      await link.call("CLIENT", "UNPAUSE");
      pauses.delete(order.node);
      return;
    case "step-down": {
      // On one link, in this order: paused writes then meet a replica, and are refused.
      const demoted = link.call("REPLICAOF", NOWHERE.host, NOWHERE.port);
      const freed = link.call("CLIENT", "UNPAUSE");
      pauses.delete(order.node);
      const [outcome] = await Promise.allSettled([demoted, freed]);
      if (outcome.status === "rejected") throw outcome.reason;
      return;
    }
    default:
      order satisfies never;
  }
}
