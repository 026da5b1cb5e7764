// standing.ts: from what monitors see to what a node is: up, suspect or down. Pure.
//   up -> suspect (this monitor hears nothing) -> down (a majority hears nothing)
//   up -> down    (the port refuses: nobody can be there)
import { majorityOf } from "../../core/cluster.ts";
import type { NodeInfo } from "./info.ts";
import type { Observations, Sight } from "./observations.ts";

/** unknown: say nothing and wait. */
export type Standing =
  | { readonly kind: "up"; readonly info: NodeInfo; readonly askedAtMs: number }
  | { readonly kind: "unknown" }
  | { readonly kind: "suspect" }
  /** isRefused: its port answers that nobody listens, so its process is gone; otherwise silence is all that is known. */
  | { readonly kind: "down"; readonly isRefused: boolean };

/**
 * One data node's standing.
 * 1. It answers this monitor: up. What others fail to reach is no reason to disturb what works.
 * 2. Its port refuses this monitor: down at once. A refusal is an answer of the host: no process listens.
 * 3. Silence: suspect, and down when a majority of the cluster's monitors, this one included, hear nothing. One
 *    monitor's silence may be the monitor's own network.
 */
export function standingOf(name: string, observed: Observations, monitorCount: number): Standing {
  const sight = observed.data.get(name);
  if (sight === undefined) return { kind: "unknown" };
  switch (sight.reach) {
    case "up":
      return sight.info === null
        ? { kind: "unknown" }
        : { kind: "up", info: sight.info, askedAtMs: sight.askedAtMs };
    case "unknown":
      return { kind: "unknown" };
    case "refused":
      return { kind: "down", isRefused: true };
    case "silent":
      return isAgreedDown(name, observed, monitorCount)
        ? { kind: "down", isRefused: false }
        : { kind: "suspect" };
  }
}

function isAgreedDown(name: string, observed: Observations, monitorCount: number): boolean {
  const others = [...observed.peers.values()].filter((peer) => peer.suspects.has(name)).length;
  return others + 1 >= majorityOf(monitorCount);
}

/** Data nodes that this monitor gets no answer from. */
export function suspectsOf(data: ReadonlyMap<string, Sight>): string[] {
  return namesOf(data, ({ reach }) => reach === "silent" || reach === "refused");
}

/** What it tells the other monitors of them: one that is cut off itself has no word on who is silent. */
export function toldSuspectsOf(data: ReadonlyMap<string, Sight>): string[] {
  return isCutOff(data) ? namesOf(data, ({ reach }) => reach === "refused") : suspectsOf(data);
}

function namesOf(data: ReadonlyMap<string, Sight>, fits: (sight: Sight) => boolean): string[] {
  return [...data].filter(([, sight]) => fits(sight)).map(([name]) => name);
}

/**
 * Most data nodes are silent: far likelier that this monitor is cut off than that they all hang. Refused ones don't
 * count, a refusal came over a network that works. One silent node alone is no such sign, however few there are.
 */
export function isCutOff(data: ReadonlyMap<string, Sight>): boolean {
  const silent = [...data.values()].filter((sight) => sight.reach === "silent").length;
  return silent > 1 && silent * 2 > data.size;
}
