// engine.ts: the routing engine: the whole cluster behind any duplex stream, and behind single commands.
//
//   attach(stream)  -> client-connection: session, order of replies --.--> fast path: bytes are copied to ---> pipeline per
//   submit(command) -> submissions -----------------------------------'--> dispatch: everything else, by route/   partition
//
// The caller owns the view source, and closes it after the engine. Two engines in one process share only the memory for
// received bytes.
import type { Duplex } from "node:stream";
import type { Credentials } from "../core/credentials.ts";
import type { NodeFailure } from "../core/failure.ts";
import type { RoutingSource } from "../core/routing.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { systemRandom, type Random } from "../ports/random.ts";
import type { ViewSource } from "../register/view-source.ts";
import type { Protocol } from "../resp/encode.ts";
import type { CommandTable } from "../route/commands/command-table.ts";
import { needsSession } from "../route/decide.ts";
import type { WrittenPartitions } from "../route/session/written-partitions.ts";
import { openCommandSource } from "./dispatch/command-source.ts";
import type { DispatchContext } from "./dispatch/pending-command.ts";
import { rerouteBy } from "./dispatch/reroute.ts";
import { FastPath } from "./dispatch/fast-path.ts";
import { DedicatedPool } from "./dedicated/pool.ts";
import type { EngineRules } from "./limits.ts";
import { listenLocally, type LocalListener } from "./local-listener.ts";
import { NodePipelines } from "./pipelines/node-pipelines.ts";
import { pipelineContext, type EngineHooks } from "./pipelines/pipeline-context.ts";
import type { PipelineQueues } from "./pipelines/pipeline-queues.ts";
import type { ReplySink, Requester } from "./pipelines/reply-sink.ts";
import { RoutedView } from "./pipelines/routed-view.ts";
import { ClientConnection, type ClientContext } from "./sessions/client-connection.ts";
import { OutputBudget } from "./sessions/output-budget.ts";
import { drainClients } from "./sessions/drain.ts";
import { Submissions } from "./submissions.ts";
import type { RouterSnapshot } from "./stats/snapshot.ts";
import { snapshotOf } from "./stats/stats-collect.ts";

export interface EngineOptions {
  /** Read at every use. Call rulesChanged() after a change. */
  readonly rules: EngineRules;
  readonly viewSource: ViewSource;
  readonly routing: RoutingSource;
  /** For the nodes. */
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random | undefined;
  /** The connections' name in CLIENT LIST of the nodes. @default "twine-router" */
  readonly clientName?: string;
  /** The program that closes, for errors after close(). @default "router" */
  readonly ownerName?: "router" | "client";
  /** The timeout of a connection to a node, including its handshake. @default 1000 */
  readonly connectTimeoutMs?: number;
  /** CLIENT ID starts after this number. */
  readonly clientIdsFrom?: number | undefined;
  readonly hooks?: EngineHooks;
  /** With readFrom "replica": reads rotate over all replicas of a partition, instead of using one. */
  readonly spreadsReads?: boolean;
}

export interface AttachOptions {
  /** A program's own stream: no authentication, and no limit on unread replies. @default true */
  readonly isTrusted?: boolean;
  /** Of another stream of the same program: a WAIT on this one also counts that one's writes. */
  readonly written?: WrittenPartitions | undefined;
  /** A WATCH was lost with the program's last stream: the next EXEC on this one returns nil. @default false */
  readonly hasLostWatch?: boolean;
}

/** One attached stream. */
export interface EngineClient {
  readonly id: number;
  /** For submit(), so that a WAIT on the stream counts the writes of these commands. */
  readonly owner: Requester;
  readonly isGone: boolean;
  /** Whether it has sent nothing since then and has no outstanding reply. */
  isIdleSince(ms: number): boolean;
  /** Ends a blocking command as soon as no element can be lost: an element that the node has sent is delivered. Otherwise
      the reply is CLIENT_CLOSED, or UNCERTAIN if the node does not answer. */
  endWaiting(): void;
  /** Closes it at once, and its stream. */
  destroy(): void;
}

export interface Engine {
  /** Makes the stream a client of the cluster. If either side ends, the other ends too. */
  attach(stream: Duplex, options?: AttachOptions): EngineClient;
  /**
   * Sends one whole command in RESP to its partition at once. Its reply goes to sink.take(tag, ...), possibly before
   * submit returns. The caller may reuse `command` afterwards; the reply's bytes are valid only during the call of take.
   * Commands of one partition are sent in the order of the calls. Returns false, without any effect, if the command needs
   * a session.
   */
  submit(command: Buffer, sink: ReplySink, tag: number, protocol?: Protocol): boolean;
  /** The nodes' table of commands; undefined until a node has reported it. */
  readonly commands: CommandTable | undefined;
  /** Why no node has reported it yet: the failure of the last node asked. */
  readonly silence: NodeFailure | undefined;
  /** Resolves with true when commands are sent instead of buffered; with false if the engine was closed before. */
  whenReady(): Promise<boolean>;
  /** Whether submit() would return false for these arguments, with the name first. */
  needsSession(args: readonly Buffer[]): boolean;
  /** Listens on a Unix socket for programs of this user; without a path, in a new private folder. */
  listenLocally(path?: string): Promise<LocalListener>;
  /** The counters of this process, and its present levels. `clientCount` defaults to all attached streams. */
  snapshot(clientCount?: number): RouterSnapshot;
  queues(): PipelineQueues[];
  /** Call this after users, limits or settings have changed. */
  rulesChanged(): void;
  /** Sends every attached client its outstanding replies and closes it, within drain-for. */
  drain(): Promise<void>;
  /** Closes everything at once. Buffered and sent requests get an error. */
  close(): void;
}

/** Opens at once. Commands are buffered until there are a view and a table of commands. */
export function openEngine(options: EngineOptions): Engine {
  return new RoutingEngine(options);
}

class RoutingEngine implements Engine {
  readonly #options: EngineOptions;
  readonly #routed: RoutedView;
  readonly #context: ClientContext;
  readonly #clients = new Set<ClientConnection>();
  readonly #submissions: Submissions;
  readonly #listeners = new Set<LocalListener>();
  #lastId: number;
  #lastMismatch: string | undefined;
  readonly #endWatch: () => void;
  #whenNobody: (() => void) | undefined;

  constructor(options: EngineOptions) {
    const { rules, viewSource, clock, log, random = systemRandom } = options;
    this.#options = options;
    this.#lastId = options.clientIdsFrom ?? 0;
    const routed = new RoutedView(viewSource, options.routing);
    this.#routed = routed;
    const pipelining = pipelineContext({ ...options, routed });
    const reroute = rerouteBy({ routed, commands: () => this.#context.commands });
    const pipelines = new NodePipelines({
      ...{ context: pipelining, random, routed, reroute },
      spreadsReads: options.spreadsReads,
    });
    pipelines.readFrom = rules.settings.readFrom;
    const own = new DedicatedPool(pipelining, routed);
    const { clientName } = pipelining;
    const commands = openCommandSource({ ...options, clientName, view: () => routed.view });
    const { stats, tick } = pipelining;
    const dispatching: DispatchContext = {
      ...{ routed, commands, random, pipelines, stats, clients: this.#clients },
    };
    const fastPath = new FastPath({ commands, routed, pipelines, stats });
    const output = new OutputBudget(rules, log);
    this.#context = { ...dispatching, rules, clock, log, own, tick, fastPath, output };
    this.#submissions = new Submissions({ dispatching, fastPath, pipelining, rules });
    this.#endWatch = viewSource.onChange(() => {
      this.#viewChanged();
    });
    this.#viewChanged();
  }

  attach(stream: Duplex, options: AttachOptions = {}): ClientConnection {
    const own = { isTrusted: true, ...options };
    const client = new ClientConnection(stream, ++this.#lastId, this.#context, own);
    this.#clients.add(client);
    this.#context.stats.clientsAccepted++;
    stream.on("close", () => {
      this.#clients.delete(client);
      if (this.#clients.size === 0) this.#whenNobody?.();
    });
    return client;
  }

  submit(command: Buffer, sink: ReplySink, tag: number, protocol: Protocol = 2): boolean {
    return this.#submissions.submit(command, sink, tag, protocol);
  }

  get commands(): CommandTable | undefined {
    return this.#context.commands.table;
  }

  get silence(): NodeFailure | undefined {
    return this.#context.commands.silence;
  }

  whenReady(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#context.commands.whenKnown(resolve);
    });
  }

  needsSession(args: readonly Buffer[]): boolean {
    return needsSession(args, this.#context.commands.table);
  }

  async listenLocally(path?: string): Promise<LocalListener> {
    const listener = await listenLocally(path, (stream) => {
      this.attach(stream);
    });
    this.#listeners.add(listener);
    return listener;
  }

  snapshot(clientCount = this.#clients.size): RouterSnapshot {
    const { stats, own } = this.#context;
    return snapshotOf({
      ...{ stats, clientCount, queues: this.queues(), view: this.#routed.view },
      bufferedBytes: own.context.bufferedBytes,
      isConfirmed: this.#routed.isConfirmed(),
    });
  }

  queues(): PipelineQueues[] {
    return this.#context.pipelines.queues();
  }

  rulesChanged(): void {
    this.#context.pipelines.readFrom = this.#options.rules.settings.readFrom;
    for (const client of [...this.#clients]) client.rulesChanged();
  }

  async drain(): Promise<void> {
    for (const listener of this.#listeners) await listener.close();
    if (this.#clients.size === 0) return;
    const { rules, clock } = this.#options;
    const nobody = new Promise<void>((resolve) => (this.#whenNobody = resolve));
    await drainClients(this.#clients, nobody, rules.limits.drainMs, clock);
  }

  close(): void {
    this.#endWatch();
    this.#submissions.close();
    for (const listener of this.#listeners) void listener.close();
    const { commands, pipelines, own } = this.#context;
    commands.close();
    pipelines.close();
    own.close();
    for (const client of [...this.#clients]) client.destroy();
  }

  #viewChanged(): void {
    const { pipelines, own, stats, commands } = this.#context;
    const isSwapped = this.#routed.update();
    const { mismatch, view } = this.#routed;
    if (mismatch !== undefined && mismatch !== this.#lastMismatch) {
      this.#options.log.error(`nothing is routed: ${mismatch}`);
    }
    this.#lastMismatch = mismatch;
    stats.viewChanged(view, this.#options.clock.wallTime());
    if (isSwapped) {
      pipelines.swap();
      own.swap();
      this.#routed.swapped();
    }
    pipelines.viewChanged();
    own.viewChanged();
    commands.viewChanged();
  }
}
