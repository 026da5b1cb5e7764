// stop-order.ts: who stops before whom. Pure.
// Routers first, so that no request comes in; monitors next, so that nobody fails over what we stop; then replicas,
// so that no master waits for one; masters; and the status nodes last, because everything else writes to them.
import type { NodeKind } from "../../runtime/core/cluster.ts";

export type AskedRole = "master" | "replica" | "loading" | undefined;

export const STOP_STAGES = ["routers", "monitors", "replicas", "masters", "status nodes"] as const;
export type StopStage = (typeof STOP_STAGES)[number];

/** `role`: as ROLE answered just before; undefined when nobody answered. */
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
