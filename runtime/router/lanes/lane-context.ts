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

/** What `rules` say is read anew each time: they may change. A class, because a literal with getters in it is read slowly,
    and every command reads `turn`. */
class RuledContext implements LaneContext {
  readonly clock: Clock;
  readonly credentials: Credentials | undefined;
  readonly turn: Turn;
  readonly stats: RouterStats;
  heldBytes = 0;
  readonly #rules: RouterRules;
  readonly #viewSource: ViewSource;

  constructor({ rules, viewSource, password, clock }: LaneContextOptions) {
    this.clock = clock;
    this.credentials = credentialsOf("router", password);
    this.turn = new Turn(() => clock.nowMs());
    this.stats = new RouterStats(this.turn);
    this.#rules = rules;
    this.#viewSource = viewSource;
  }

  get tls(): LinkTls | undefined {
    return this.#rules.tls.nodes;
  }

  get holdForMs(): number {
    return this.#rules.settings.holdForMs;
  }

  get holdBytesMax(): number {
    return this.#rules.settings.holdBytes;
  }

  get ackReplicas(): number {
    return this.#rules.settings.ackReplicas;
  }

  get ackTimeoutMs(): number {
    return this.#rules.settings.ackTimeoutMs;
  }

  get retryUnknown(): Settings["retryUnknown"] {
    return this.#rules.settings.retryUnknown;
  }

  isConfirmed(): boolean {
    return this.#viewSource.isConfirmed();
  }
}

export interface LaneContextOptions {
  readonly rules: RouterRules;
  readonly viewSource: ViewSource;
  readonly password: string | undefined;
  readonly clock: Clock;
}

export function laneContext(options: LaneContextOptions): LaneContext {
  return new RuledContext(options);
}

export function masterNode(view: View | undefined, partition: number): NodeView | undefined {
  const master = view?.partitions.find(({ index }) => index === partition)?.master ?? undefined;
  return master === undefined ? undefined : view?.nodes.find(({ name }) => name === master);
}

export function targetOf(node: NodeView): BackendTarget {
  return { name: node.name, host: addressOf(node.host), port: node.port, db: node.db ?? 0 };
}
