// what-is-left.ts: what a loss takes beside data nodes: those who decide, those who confirm, and the way in. Pure.
import { majorityOf } from "../../core/cluster.ts";
import type { View } from "../../core/view.ts";

export interface WhatIsLeftInput {
  readonly view: View;
  /** Names of nodes of any kind. */
  readonly victims: ReadonlySet<string>;
  /** An alpha was seen to renew its lease just now. Without one the view says only how it was. */
  readonly isLed: boolean;
  /** Status nodes that did not answer just now, or don't count, whatever the view says of them. */
  readonly silentStatus: ReadonlySet<string>;
}

export interface WhatIsLeft {
  /** Why nothing at all would be decided; empty when there would be an alpha. */
  readonly why: string;
  /** No majority of the status nodes: nobody would know a view to be true, and no write would be taken. */
  readonly isUnconfirmed: boolean;
  /** What else would be lost, a sentence each. */
  readonly notes: readonly string[];
}

/**
 * 1. Without a majority of the status nodes no view is chosen or confirmed.
 * 2. Nobody leads now: nobody would then.
 * 3. Without a monitor nobody decides.
 */
export function whatIsLeft(input: WhatIsLeftInput): WhatIsLeft {
  const { view, isLed } = input;
  const statusCount = countOf(view, "status");
  const needed = majorityOf(statusCount);
  const voters = leftOf(input, "status");
  const isUnconfirmed = voters < needed;
  const notes = [...monitorNotes(input), ...routerNotes(input)];
  if (isUnconfirmed) {
    const why = `only ${voters} of ${statusCount} status nodes would be left, and ${needed} are needed to choose a view`;
    const held =
      "no write would be taken: routers and clients hold writes while no majority of the status nodes confirms the view; reads go on";
    return { why, isUnconfirmed, notes: [held, ...notes] };
  }
  if (!isLed) {
    const why =
      "no monitor renews the alpha's lease now, whatever the view says: start them with twine-start";
    return { why, isUnconfirmed, notes };
  }
  const why = leftOf(input, "monitor") === 0 ? "no monitor would be left" : "";
  return { why, isUnconfirmed, notes };
}

function countOf({ nodes }: View, kind: string): number {
  return nodes.filter((node) => node.kind === kind).length;
}

function leftOf({ view, victims, silentStatus }: WhatIsLeftInput, kind: string): number {
  return view.nodes.filter(
    (node) =>
      node.kind === kind &&
      node.role !== "dead" &&
      !victims.has(node.name) &&
      !(kind === "status" && silentStatus.has(node.name)),
  ).length;
}

function isHit({ view, victims }: WhatIsLeftInput, kind: string): boolean {
  return view.nodes.some((node) => node.kind === kind && victims.has(node.name));
}

/** A port that refuses one monitor is dead at once; silence needs a majority of all of them. */
function monitorNotes(input: WhatIsLeftInput): string[] {
  const count = countOf(input.view, "monitor");
  const left = leftOf(input, "monitor");
  if (!isHit(input, "monitor") || left === 0 || left >= majorityOf(count)) return [];
  return [
    `only ${left} of ${count} monitors would be left: a node that falls silent would not be failed over, only one whose port refuses`,
  ];
}

function routerNotes(input: WhatIsLeftInput): string[] {
  if (!isHit(input, "router") || leftOf(input, "router") > 0) return [];
  return [
    "no router would be left: no client would get in but those that follow the view (TwineClient)",
  ];
}
