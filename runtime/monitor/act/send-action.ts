// send-action.ts: an alpha's actions in Redis's words, on an open link.
// https://redis.io/docs/latest/commands/replicaof/, https://redis.io/docs/latest/commands/client-pause/
import type { Clock } from "../../ports/clock.ts";
import type { RedisLink } from "../../ports/redis-link.ts";
import type { Action } from "../decide/actions.ts";
import { NOWHERE } from "../decide/info.ts";
import type { Pause } from "../decide/pauses.ts";
import { pauseWrites } from "./pause-writes.ts";

/** What is sent to a node; a rescue asks for nothing that changes it. */
export type Order = Exclude<Action, { kind: "rescue" }>;

/** Sends it and answers when the node has done it; rejects with the node's error, or when the link breaks. */
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
      // On one link and in this order: what the pause holds back meets a replica, and is refused.
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
