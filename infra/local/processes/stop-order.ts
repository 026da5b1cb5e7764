// stop-order.ts: the order in which services stop. Pure.
// Routers first, so that no request comes in; monitors next, so that none fails over a node that we stop; then replicas, so
// that no master waits for one; masters; and the status nodes last, because all others write to them.
import type { NodeKind } from "../../../runtime/core/cluster.ts";

export type AskedRole = "master" | "replica" | "loading" | undefined;

export const STOP_STAGES = ["routers", "monitors", "replicas", "masters", "status nodes"] as const;
export type StopStage = (typeof STOP_STAGES)[number];

/** `role`: the reply of ROLE just before; undefined when the node did not answer. */
export function stopStage(kind: NodeKind, role: AskedRole): StopStage {
  switch (kind) {
    case "router":
      return "routers";
    case "monitor":
      return "monitors";
    case "data":
      return role === "master" ? "masters" : "replicas";
    case "status":
      return "status nodes";
    default:
      return kind satisfies never;
  }
}
