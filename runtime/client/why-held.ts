// why-held.ts: why something of a partition waits, in one sentence for errors and the event "held". Pure.
import type { NodeTarget } from "./node-connection.ts";

export interface HeldFacts {
  readonly partition: number;
  readonly target: NodeTarget | undefined;
  /** What the node or its connection said last; empty: nothing. */
  readonly problem: string;
  /** It may go to a master that no majority confirms, or one does. */
  readonly mayGo: boolean;
}

export function whyHeld({ partition, target, problem, mayGo }: HeldFacts): string {
  if (target === undefined) return `partition ${partition} has no master`;
  if (problem !== "") {
    return `partition ${partition} can't be served by ${target.name}: ${problem}`;
  }
  if (!mayGo) return `partition ${partition}: no majority of the status nodes confirms its master`;
  return `partition ${partition}: its master ${target.name} does not answer`;
}
