// order-events.ts: emits the event of an order that a node has answered.
import type { Emit } from "../emit.ts";
import type { Order } from "./send-action.ts";

export function emitOrder(emit: Emit, order: Order): void {
  const { node } = order;
  switch (order.kind) {
    case "promote":
      emit("+promoted", { node });
      break;
    case "detach":
      emit("+detach", { node });
      break;
    case "repoint":
      emit("+repoint", { node, master: order.master.name });
      break;
    case "pause":
      emit("+pause", { node, forMs: order.forMs });
      break;
    case "unpause":
      emit("-pause", { node });
      break;
    case "step-down":
      emit("+step-down", { node });
      break;
    default:
      order satisfies never;
  }
}
