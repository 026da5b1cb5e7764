// messages.ts: what a router's parent and its workers say to each other. Pure.
//
//   worker -> parent   listening         once, when every address is listened on
//   parent -> worker   figures?          worker -> parent   figures        by number, so that a late answer is known
import type { RouterSnapshot } from "../stats/snapshot.ts";

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
