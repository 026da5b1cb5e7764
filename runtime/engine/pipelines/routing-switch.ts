// routing-switch.ts: changes the routing without losing a request, executing one twice, or sending one to a partition that no longer
// has its keys.
//
//   routing changes -> old pipelines: nothing more is sent, what was sent is answered ---> all quiet -> the rest is hashed
//                  '-> new pipelines: requests are buffered -------------------------------------------> anew and goes first
//
// Invariant: while a reply of the old routing may still come, nothing of the new one is sent, because that reply may send
// its request back (a fenced master says READONLY), and a newer request of the same key must not overtake it.
import type { Protocol } from "../../resp/encode.ts";
import type { ConnectionIdentity } from "../../route/session/node-greeting.ts";
import type { BufferedRequest } from "./in-flight.ts";
import type { NodePipeline } from "./node-pipeline.ts";
import type { HandedOver, PipelineContext } from "./pipeline-context.ts";
import type { RoutedView } from "./routed-view.ts";

/** A request of a pipeline of the previous routing. */
export interface MovedRequest extends BufferedRequest {
  readonly protocol: Protocol;
  /** Its partition by the previous routing. */
  readonly oldPartition: number;
}

/** Puts requests where they belong, by `place`, in the order of its calls; or answers them. */
export type Placement = (place: Place) => void;
export type Place = (partition: number, isToReplica: boolean, request: BufferedRequest) => void;

/** Finds the partition of a request by the present routing. Must not fail. */
export type Reroute = (request: MovedRequest) => Placement | Promise<Placement>;

export interface SwitchOptions {
  readonly context: PipelineContext;
  readonly routed: RoutedView;
  readonly reroute: Reroute;
  pipelineOf(partition: number, protocol: Protocol, isToReplica: boolean): NodePipeline;
  /** Every request is in its new pipeline: pipelines may send. */
  readonly done: () => void;
}

export interface Retiring {
  readonly pipeline: NodePipeline;
  readonly protocol: Protocol;
  /** How long outstanding replies are awaited. */
  readonly waitMs: number;
}

export class RoutingSwitch {
  readonly #options: SwitchOptions;
  /** In the order in which their requests arrived. */
  #requests: MovedRequest[][] = [];
  /** Pipelines with outstanding replies. */
  readonly #retiring = new Set<NodePipeline>();
  readonly #broken = new Map<string, ConnectionIdentity>();
  #left = 0;
  #isPlacing = false;
  #isClosed = false;

  constructor(options: SwitchOptions) {
    this.#options = options;
  }

  /** During another switch, its pipelines are added after those of the first. */
  begin(retiring: readonly Retiring[]): void {
    this.#options.context.isSwitching = true;
    this.#left += retiring.length;
    for (const { pipeline, protocol, waitMs } of retiring) {
      const requests: MovedRequest[] = [];
      this.#requests.push(requests);
      this.#retiring.add(pipeline);
      pipeline.retire(waitMs, (rest) => {
        this.#retiring.delete(pipeline);
        this.#take(rest, requests, protocol, pipeline.partition);
      });
    }
    if (this.#left === 0) void this.#place();
  }

  /** Nothing is placed any more; gives what was not. What pipelines of the routing before still have is answered by them. */
  close(): MovedRequest[] {
    this.#isClosed = true;
    for (const pipeline of this.#retiring) pipeline.close();
    this.#retiring.clear();
    return this.#requests.splice(0).flat();
  }

  #take(
    rest: HandedOver,
    requests: MovedRequest[],
    protocol: Protocol,
    oldPartition: number,
  ): void {
    for (const request of rest.requests) requests.push({ ...request, protocol, oldPartition });
    for (const [address, identity] of rest.broken) this.#broken.set(address, identity);
    this.#left--;
    if (this.#left === 0) void this.#place();
  }

  async #place(): Promise<void> {
    if (this.#isPlacing) return;
    this.#isPlacing = true;
    const { routed, reroute, context, done } = this.#options;
    const requests = this.#requests.flat().filter(({ sink }) => !sink.isGone);
    const { routing } = routed;
    const placements = await Promise.all(
      requests.map((request) => Promise.resolve(reroute(request))),
    );
    this.#isPlacing = false;
    if (this.#isClosed) return;
    // The routing changed again while a hash was pending: all requests are hashed again once its pipelines have no replies
    // outstanding.
    if (routing !== routed.routing || this.#left > 0) {
      if (this.#left === 0) await this.#place();
      return;
    }
    this.#requests = [];
    this.#putFirst(requests, placements);
    context.isSwitching = false;
    done();
  }

  #putFirst(requests: readonly MovedRequest[], placements: readonly Placement[]): void {
    const found = new Map<NodePipeline, BufferedRequest[]>();
    placements.forEach((placement, index) => {
      const protocol = requests[index]?.protocol ?? 2;
      placement((partition, isToReplica, request) => {
        const pipeline = this.#options.pipelineOf(partition, protocol, isToReplica);
        if (!request.isRead) request.sink.owner.written?.note(partition);
        const first = found.get(pipeline);
        if (first === undefined) found.set(pipeline, [request]);
        else first.push(request);
      });
    });
    const broken = new Map(this.#broken);
    this.#broken.clear();
    for (const [pipeline, first] of found) pipeline.adoptFirst({ requests: first, broken });
  }
}
