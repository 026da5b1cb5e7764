// node-health.ts: combines the monitors' observations to a node's health: up, suspect or down. Pure.
//   up -> suspect (silent to this monitor) -> down (silent to a majority)
//   up -> down    (the port refuses: no process listens)
import { majorityOf } from "../../../core/cluster.ts";
import type { NodeInfo } from "./info.ts";
import type { Observations, NodeObservation } from "./observations.ts";

/** unknown: no decision yet; wait. */
export type NodeHealth =
  | { readonly kind: "up"; readonly info: NodeInfo; readonly askedAtMs: number }
  | { readonly kind: "unknown" }
  | { readonly kind: "suspect" }
  /** isRefused: its port refuses connections, so its process is gone; false: it is only silent. */
  | { readonly kind: "down"; readonly isRefused: boolean };

/**
 * One data node's health.
 * 1. It answers this monitor: up, even if other monitors can't reach it.
 * 2. Its port refuses this monitor: down at once. A refusal is the host's answer: no process listens.
 * 3. Silent: suspect; down when it is silent to a majority of the cluster's monitors, this one included. If it is silent to
 *    one monitor only, that monitor's network may be the cause.
 */
export function healthOf(name: string, observed: Observations, monitorCount: number): NodeHealth {
  const observation = observed.data.get(name);
  if (observation === undefined) return { kind: "unknown" };
  switch (observation.reach) {
    case "up":
      return observation.info === null
        ? { kind: "unknown" }
        : { kind: "up", info: observation.info, askedAtMs: observation.askedAtMs };
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

/** A cut-off monitor's report proves nothing about a single node; it counts only if this monitor is cut off too. */
function isAgreedDown(name: string, observed: Observations, monitorCount: number): boolean {
  const isSelfCutOff = observed.cutOffForMs > 0;
  const others = [...observed.peers.values()].filter(
    (peer) => peer.suspects.has(name) && (isSelfCutOff || peer.isCutOff !== true),
  ).length;
  return others + 1 >= majorityOf(monitorCount);
}

/** Data nodes that don't answer this monitor. */
export function suspectsOf(data: ReadonlyMap<string, NodeObservation>): string[] {
  const isSuspect = ({ reach }: NodeObservation): boolean =>
    reach === "silent" || reach === "refused";
  return [...data].filter(([, observation]) => isSuspect(observation)).map(([name]) => name);
}

/**
 * Whether most data nodes are silent: it is far more likely that this monitor is cut off than that they all hang. Nodes
 * that refuse don't count, because a refusal proves that the network works. One silent node is never enough.
 */
export function isCutOff(data: ReadonlyMap<string, NodeObservation>): boolean {
  const silent = [...data.values()].filter((observation) => observation.reach === "silent").length;
  return silent > 1 && silent * 2 > data.size;
}
