// node-pipelines.ts: all pipelines of one engine. For each protocol and partition there is one to the master and, with
// read-from replica, one to a replica with the master's as its fallback. Each is made when it is first needed.
import type { NodeView, View } from "../../core/view.ts";
import type { Random } from "../../ports/random.ts";
import type { Protocol } from "../../resp/encode.ts";
import type { BackendTarget } from "./backend-connection.ts";
import { DRAIN_MS } from "../limits.ts";
import { NodePipeline } from "./node-pipeline.ts";
import { lostReply } from "./outcome.ts";
import { RoutingSwitch, type Reroute } from "./routing-switch.ts";
import type { PipelineQueues } from "./pipeline-queues.ts";
import type { RoutedView } from "./routed-view.ts";
import { masterNode, targetOf, type PipelineContext } from "./pipeline-context.ts";

export interface PipelinesOptions {
  readonly context: PipelineContext;
  readonly random: Random;
  readonly routed: RoutedView;
  readonly reroute: Reroute;
  /** Reads go to a partition's replicas in turn. */
  readonly spreadsReads?: boolean | undefined;
}

interface ReplicaTurns {
  readonly pipelines: (NodePipeline | undefined)[];
  /** Replicas in sync, by `view`. */
  count: number;
  next: number;
  view: View | undefined;
}

export class NodePipelines {
  /** The read-from setting. */
  readFrom: "master" | "replica" = "master";
  readonly #options: PipelinesOptions;
  /** By protocol, then by partition. */
  #masters: (NodePipeline | undefined)[][] = [[], [], [], []];
  #replicas: (NodePipeline | undefined)[][] = [[], [], [], []];
  /** With spreadsReads: by protocol and partition, a pipeline for each replica, and the next one's index. */
  #spread: ReplicaTurns[][] = [[], [], [], []];

  readonly #switch: RoutingSwitch;
  /** Set by close(): later requests get an error at once. A hash may have resolved late. */
  #isClosed = false;

  constructor(options: PipelinesOptions) {
    this.#options = options;
    this.#switch = new RoutingSwitch({
      ...options,
      // Buffered in the master's pipeline even if a replica may reply: it is the fallback of the others too.
      pipelineOf: (partition, protocol) => this.of(partition, protocol, false),
      done: () => {
        this.viewChanged();
      },
    });
  }

  /** The routing has changed: pipelines of the previous one send nothing more. */
  swap(): void {
    const { context, routed } = this.#options;
    const { view } = routed;
    const masters = new Set(view?.partitions.map(({ master }) => master));
    const retiring = [...this.#numbered()].map(([pipeline, protocol]) => {
      // A node that is still master may be executing a long command.
      const isServing = masters.has(pipeline.target?.name ?? null);
      return { pipeline, protocol, waitMs: isServing ? context.holdForMs : DRAIN_MS };
    });
    this.#masters = [[], [], [], []];
    this.#replicas = [[], [], [], []];
    this.#spread = [[], [], [], []];
    this.#switch.begin(retiring);
  }

  of(partition: number, protocol: Protocol, isRead: boolean): NodePipeline {
    const mayBeReplica = isRead && this.readFrom === "replica" && !this.#isClosed;
    if (mayBeReplica && this.#options.spreadsReads === true)
      return this.#inTurn(partition, protocol);
    const pipelines = mayBeReplica ? this.#replicas : this.#masters;
    return pipelines[protocol]?.[partition] ?? this.#make(partition, protocol, mayBeReplica);
  }

  viewChanged(): void {
    for (const pipeline of this.#all()) pipeline.viewChanged();
  }

  queues(): PipelineQueues[] {
    return [...this.#all()].map((pipeline) => pipeline.queues());
  }

  close(): void {
    this.#isClosed = true;
    for (const pipeline of this.#all()) pipeline.close();
    for (const { sink, tag, ...request } of this.#switch.close()) {
      const why = this.#options.context.closingCause;
      const reply = lostReply(request, request.oldPartition, why);
      if (!sink.isGone) sink.take(tag, reply, 0, reply.length);
    }
  }

  /** All pipelines; masters' first, because they are the fallbacks of the replicas'. */
  *#numbered(): Generator<[NodePipeline, Protocol]> {
    for (const byProtocol of [this.#masters, this.#replicas]) {
      for (const protocol of [2, 3] as const) {
        for (const pipeline of byProtocol[protocol] ?? []) {
          if (pipeline !== undefined) yield [pipeline, protocol];
        }
      }
    }
    for (const protocol of [2, 3] as const) {
      const pipelines = (this.#spread[protocol] ?? []).flatMap((turns) => turns.pipelines);
      for (const pipeline of pipelines) if (pipeline !== undefined) yield [pipeline, protocol];
    }
  }

  /** The next replica's pipeline; the master's while there is no replica. */
  #inTurn(partition: number, protocol: Protocol): NodePipeline {
    const { view } = this.#options.routed;
    const all = this.#spread[protocol] ?? [];
    const turns = (all[partition] ??= { pipelines: [], count: 0, next: 0, view: undefined });
    if (turns.view !== view) {
      turns.view = view;
      turns.count = this.#inSync(partition).length;
    }
    const master = this.of(partition, protocol, false);
    if (turns.count === 0) return master;
    const turn = turns.next++ % turns.count;
    const target = (): BackendTarget | undefined => {
      const node = this.#inSync(partition)[turn];
      return node === undefined ? undefined : targetOf(node);
    };
    const { context } = this.#options;
    const options = { partition, protocol, target, fallback: master };
    return (turns.pipelines[turn] ??= new NodePipeline(options, context));
  }

  #inSync(partition: number): NodeView[] {
    return (this.#options.routed.view?.nodes ?? []).filter(
      (node) => node.partition === partition && node.role === "replica" && node.inSync,
    );
  }

  *#all(): Generator<NodePipeline> {
    for (const [pipeline] of this.#numbered()) yield pipeline;
  }

  #make(partition: number, protocol: Protocol, isToReplica: boolean): NodePipeline {
    const { context } = this.#options;
    const common = { partition, protocol };
    const target = (): BackendTarget | undefined => {
      const node = masterNode(this.#options.routed.view, partition);
      return node === undefined ? undefined : targetOf(node);
    };
    const pipeline = isToReplica
      ? new NodePipeline(
          {
            ...common,
            target: this.#replicaChoice(partition),
            fallback: this.of(partition, protocol, false),
          },
          context,
        )
      : new NodePipeline({ ...common, target }, context);
    const pipelines = (isToReplica ? this.#replicas : this.#masters)[protocol];
    if (pipelines !== undefined) pipelines[partition] = pipeline;
    if (this.#isClosed) pipeline.close();
    return pipeline;
  }

  /** A random replica whose link is up, so that several routers spread the load. It is kept for as long as its link is up. */
  #replicaChoice(partition: number): () => BackendTarget | undefined {
    let chosen: string | undefined;
    return () => {
      const nodes = this.#inSync(partition);
      const index = Math.floor(this.#options.random.next() * nodes.length);
      const node = nodes.find(({ name }) => name === chosen) ?? nodes[index];
      chosen = node?.name;
      return node === undefined ? undefined : targetOf(node);
    };
  }
}
