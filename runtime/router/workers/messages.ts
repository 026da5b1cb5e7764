// messages.ts: the messages between a router's parent and its workers. Pure.
//
//   worker -> parent   listening         once, when it listens on every address
//   parent -> worker   figures?          worker -> parent   figures        numbered, so that a late reply is recognised
import type { RouterSnapshot } from "../../engine/stats/snapshot.ts";

export type FromWorker =
  | { readonly kind: "listening" }
  | { readonly kind: "figures"; readonly question: number; readonly snapshot: RouterSnapshot };

export interface FromParent {
  readonly kind: "figures?";
  readonly question: number;
}

export function isFromParent(message: unknown): message is FromParent {
  return kindOf(message) === "figures?";
}

export function isFromWorker(message: unknown): message is FromWorker {
  const kind = kindOf(message);
  return kind === "listening" || kind === "figures";
}

function kindOf(message: unknown): unknown {
  return typeof message === "object" && message !== null && "kind" in message
    ? message.kind
    : undefined;
}
