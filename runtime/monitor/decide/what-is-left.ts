// what-is-left.ts: the losses other than data nodes: monitors, status nodes and routers. Pure.
import { majorityOf } from "../../core/cluster.ts";
import type { View } from "../../core/view.ts";

export interface WhatIsLeftInput {
  readonly view: View;
  /** Names of nodes of any kind. */
  readonly victims: ReadonlySet<string>;
  /** An alpha was seen to renew its lease just now. Without an alpha the view may be outdated. */
  readonly isLed: boolean;
  /** Status nodes that did not answer just now, or don't count, whatever their role in the view. */
  readonly silentStatus: ReadonlySet<string>;
}

export interface WhatIsLeft {
  /** Why nothing would be decided; empty when there would be an alpha. */
  readonly why: string;
  /** No majority of the status nodes: no view would be confirmed, and no write accepted. */
  readonly isUnconfirmed: boolean;
  /** Other losses, a sentence each. */
  readonly notes: readonly string[];
}

/**
 * 1. Without a majority of the status nodes no view is chosen or confirmed.
 * 2. If no monitor leads now, none would lead then.
 * 3. Without a monitor nothing is decided.
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
      "no write would be accepted: routers and clients buffer writes while no majority of the status nodes confirms the view; reads are still answered";
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

/** A node whose port refuses one monitor is down at once; a silent one needs a majority of all monitors. */
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
    "no router would be left: only clients that follow the view themselves (TwineClient) could connect",
  ];
}
