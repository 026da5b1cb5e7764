// lane-context.ts: what all lanes of one router share: the view, time, and the bytes that are held in all of them.
import { addressOf, type Settings } from "../../core/cluster.ts";
import { credentialsOf, type Credentials } from "../../core/credentials.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import type { ViewSource } from "../../register/view-source.ts";
import type { RouterRules } from "../rules/limits.ts";
import type { Protocol } from "../../resp/encode.ts";
import { RouterStats } from "../stats/counters.ts";
import { Turn } from "./turn.ts";
import type { BackendTarget } from "./backend-connection.ts";
import type { Held } from "./in-flight.ts";

export interface LaneContext {
  readonly clock: Clock;
  readonly credentials: Credentials | undefined;
  /** Absent: nodes are spoken to without TLS. */
  readonly tls?: LinkTls | undefined;
  readonly holdForMs: number;
  readonly holdBytesMax: number;
  /** Replicas that must hold a write before it is acknowledged, and how long that is waited for. */
  readonly ackReplicas: number;
  readonly ackTimeoutMs: number;
  /** What is sent again when nobody knows whether it was executed. */
  readonly retryUnknown: Settings["retryUnknown"];
  /** Of the requests that are held by any lane. */
  heldBytes: number;
  readonly turn: Turn;
  readonly stats: RouterStats;
  isConfirmed(): boolean;
}

export interface LaneOptions {
  readonly partition: number;
  readonly protocol: Protocol;
  /** The node that the lane leads to, while there is one. */
  target(): BackendTarget | undefined;
  /** The lane that takes what this one can't do at once. */
  readonly fallback?: { adopt(requests: readonly Held[]): void };
}

/** What `rules` say is read anew each time: they may change. */
export function laneContext(options: {
  readonly rules: RouterRules;
  readonly viewSource: ViewSource;
  readonly password: string | undefined;
  readonly clock: Clock;
}): LaneContext {
  const { rules } = options;
  const turn = new Turn(() => options.clock.nowMs());
  return {
    clock: options.clock,
    credentials: credentialsOf("router", options.password),
    get tls() {
      return rules.tls.nodes;
    },
    get holdForMs() {
      return rules.settings.holdForMs;
    },
    get holdBytesMax() {
      return rules.settings.holdBytes;
    },
    get ackReplicas() {
      return rules.settings.ackReplicas;
    },
    get ackTimeoutMs() {
      return rules.settings.ackTimeoutMs;
    },
    get retryUnknown() {
      return rules.settings.retryUnknown;
    },
    heldBytes: 0,
    isConfirmed: () => options.viewSource.isConfirmed(),
    turn,
    stats: new RouterStats(turn),
  };
}

export function masterNode(view: View | undefined, partition: number): NodeView | undefined {
  const master = view?.partitions.find(({ index }) => index === partition)?.master ?? undefined;
  return master === undefined ? undefined : view?.nodes.find(({ name }) => name === master);
}

export function targetOf(node: NodeView): BackendTarget {
  return { name: node.name, host: addressOf(node.host), port: node.port, db: node.db ?? 0 };
}
