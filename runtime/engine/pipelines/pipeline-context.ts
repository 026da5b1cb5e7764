// pipeline-context.ts: what all pipelines of one engine share: the view, the clock, and the count of buffered bytes.
import { addressOf, type Settings } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import type { EngineRules } from "../limits.ts";
import type { Protocol } from "../../resp/encode.ts";
import type { ConnectionIdentity } from "../../route/session/node-greeting.ts";
import { RouterStats, type NodeCounters } from "../stats/counters.ts";
import { Tick } from "./tick.ts";
import type { RoutedView } from "./routed-view.ts";
import type { BackendOptions, BackendTarget } from "./backend-connection.ts";
import type { BufferedRequest } from "./in-flight.ts";

export interface PipelineContext {
  readonly clock: Clock;
  readonly credentials: Credentials | undefined;
  /** Absent: no TLS to nodes. */
  readonly tls?: LinkTls | undefined;
  readonly keepaliveMs: number;
  readonly dedicatedMax: number;
  readonly holdForMs: number;
  readonly holdBytesMax: number;
  /** How many replicas must have a write before it is acknowledged, and how long to wait for them. */
  readonly ackReplicas: number;
  readonly ackTimeoutMs: number;
  /** Which requests are sent again when their outcome is unknown. */
  readonly retryUnknown: Settings["retryUnknown"];
  /** Bytes of the requests that all pipelines buffer, and of the queues of open transactions. */
  bufferedBytes: number;
  /** Drops large queues of open transactions until bufferedBytes is within hold-bytes, as far as there are any. */
  makeRoom?: (() => void) | undefined;
  readonly tick: Tick;
  readonly stats: RouterStats;
  /** The connections' name in a node's CLIENT LIST. */
  readonly clientName: string;
  /** The error of requests after the engine was closed. */
  readonly closingCause: string;
  readonly connectTimeoutMs?: number | undefined;
  readonly outages: Outages;
  /** The routing has changed and requests of the previous one have no reply yet: nothing newer is sent. */
  isSwitching: boolean;
  /** Reads of the partition, like writes, are sent only while the view is confirmed. */
  readsNeedConfirmation(partition: number): boolean;
  /** After so long without a reply from a replica, its reads go to the master. */
  readonly readerSilentMs: number;
  isConfirmed(): boolean;
  /** Writes may be sent now: the view is confirmed and names a master that is not suspended. */
  mayWrite(partition: number): boolean;
  /** Its master fell silent and is being replaced without a WAIT that would prove what was written: its late replies don't
      count. */
  isAbandoned(partition: number): boolean;
  /** HOST:PORT of the other system's master that it follows, while it does. */
  followedBy(partition: number): string | undefined;
}

/** Events of partitions and nodes. */
export interface EngineHooks {
  /** The first request is buffered because its partition can't be served; once for each outage. */
  onBuffering?(outage: { readonly partition: number; readonly why: string }): void;
  /** The partition is served again, after onBuffering. */
  onServed?(outage: { readonly partition: number }): void;
  /** A connection to a node broke or could not be opened. */
  onConnectionFailure?(failure: {
    readonly partition: number;
    readonly node: string;
    readonly cause: string;
  }): void;
}

/** Reports each outage once, though several pipelines and connection requests notice it. */
export class Outages {
  readonly #hooks: EngineHooks;
  readonly #buffering = new Set<number>();

  constructor(hooks: EngineHooks) {
    this.#hooks = hooks;
  }

  buffering(partition: number, why: string): void {
    if (this.#buffering.has(partition)) return;
    this.#buffering.add(partition);
    this.#hooks.onBuffering?.({ partition, why });
  }

  served(partition: number): void {
    if (this.#buffering.size > 0 && this.#buffering.delete(partition))
      this.#hooks.onServed?.({ partition });
  }

  failed(partition: number, node: string, cause: string): void {
    this.#hooks.onConnectionFailure?.({ partition, node, cause });
  }
}

/** What a pipeline hands over when the routing has changed. */
export interface HandedOver {
  readonly requests: readonly BufferedRequest[];
  /** By address: the last connection that broke there with requests on the wire. */
  readonly broken: ReadonlyMap<string, ConnectionIdentity>;
}

/** Options of connections to nodes. */
export function backendOptions(
  context: PipelineContext,
  protocol: Protocol,
  counters: NodeCounters,
): BackendOptions {
  const { credentials, clock, tls, clientName, connectTimeoutMs, keepaliveMs } = context;
  const named = { clientName, connectTimeoutMs, keepaliveMs };
  return { protocol, credentials, clock, tls, counters, ...named };
}

export interface PipelineOptions {
  readonly partition: number;
  readonly protocol: Protocol;
  /** The pipeline's node; undefined while there is none. */
  target(): BackendTarget | undefined;
  /** The pipeline that takes the requests that this one can't send or that its node refused. */
  readonly fallback?: { adopt(requests: readonly BufferedRequest[]): void };
}

/** Reads `rules` each time, because they may change. It is a class because every command reads `tick`, and an object literal
    with getters is slower. */
class RuledContext implements PipelineContext {
  readonly clock: Clock;
  readonly credentials: Credentials | undefined;
  readonly tick: Tick;
  readonly stats: RouterStats;
  bufferedBytes = 0;
  makeRoom: (() => void) | undefined;
  isSwitching = false;
  readonly clientName: string;
  readonly closingCause: string;
  readonly connectTimeoutMs: number | undefined;
  readonly outages: Outages;
  readonly #rules: EngineRules;
  readonly #routed: RoutedView;

  constructor(options: PipelineContextOptions) {
    const { rules, routed, credentials, clock, connectTimeoutMs, hooks = {} } = options;
    this.clock = clock;
    this.credentials = credentials;
    this.clientName = options.clientName ?? "twine-router";
    this.closingCause = closingCauseOf(options.ownerName ?? "router");
    this.connectTimeoutMs = connectTimeoutMs;
    this.outages = new Outages(hooks);
    this.tick = new Tick(() => clock.nowMs());
    this.stats = new RouterStats(this.tick);
    this.#rules = rules;
    this.#routed = routed;
  }

  get tls(): LinkTls | undefined {
    return this.#rules.tls.nodes;
  }

  get keepaliveMs(): number {
    return this.#rules.settings.tcpKeepaliveMs;
  }

  get dedicatedMax(): number {
    return this.#rules.limits.dedicatedMax;
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

  readsNeedConfirmation(partition: number): boolean {
    return this.#routed.routing.readsNeedConfirmation?.(partition) === true;
  }

  get readerSilentMs(): number {
    return this.#rules.settings.downAfterMs;
  }

  isConfirmed(): boolean {
    return this.#routed.isConfirmed();
  }

  mayWrite(partition: number): boolean {
    return this.#routed.isConfirmed() && !this.#routed.suspended.has(partition);
  }

  isAbandoned(partition: number): boolean {
    const { view } = this.#routed;
    const failover = view?.partitions.find(({ index }) => index === partition)?.failover ?? null;
    return this.ackReplicas === 0 && failover?.isKnownDead === false;
  }

  followedBy(partition: number): string | undefined {
    const { view } = this.#routed;
    const following = view?.partitions.find(({ index }) => index === partition)?.following;
    return following ? `${following.host}:${following.port}` : undefined;
  }
}

/** The context of a router's or a program's engine. */
export function closingCauseOf(owner: "router" | "client"): string {
  return `the ${owner} is closing`;
}

export interface PipelineContextOptions {
  readonly rules: EngineRules;
  readonly routed: RoutedView;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  /** "twine-router" unless given. */
  readonly clientName?: string | undefined;
  readonly ownerName?: "router" | "client" | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly hooks?: EngineHooks | undefined;
}

export function pipelineContext(options: PipelineContextOptions): PipelineContext {
  return new RuledContext(options);
}

export function masterNode(view: View | undefined, partition: number): NodeView | undefined {
  const master = view?.partitions.find(({ index }) => index === partition)?.master ?? undefined;
  return master === undefined ? undefined : view?.nodes.find(({ name }) => name === master);
}

export function targetOf(node: NodeView): BackendTarget {
  return { name: node.name, host: addressOf(node.host), port: node.port, db: node.db ?? 0 };
}
