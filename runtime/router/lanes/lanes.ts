// lanes.ts: all lanes of one router: per protocol and partition one to the master and, with read-from replica, one to a
// replica that has the first as its fallback. Made when they are first asked for.
import type { View } from "../../core/view.ts";
import type { Random } from "../../ports/random.ts";
import type { Protocol } from "../../resp/encode.ts";
import type { BackendTarget } from "./backend-connection.ts";
import { Lane } from "./lane.ts";
import type { LaneQueues } from "./lane-queues.ts";
import { masterNode, targetOf, type LaneContext } from "./lane-context.ts";

export interface LanesOptions {
  readonly context: LaneContext;
  readonly random: Random;
  view(): View | undefined;
}

export class Lanes {
  /** Where reads go. */
  readFrom: "master" | "replica" = "master";
  readonly #options: LanesOptions;
  /** By protocol, then by partition. */
  readonly #masters: (Lane | undefined)[][] = [[], [], [], []];
  readonly #replicas: (Lane | undefined)[][] = [[], [], [], []];

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  of(partition: number, protocol: Protocol, isRead: boolean): Lane {
    const mayBeReplica = isRead && this.readFrom === "replica";
    const lanes = mayBeReplica ? this.#replicas : this.#masters;
    return lanes[protocol]?.[partition] ?? this.#make(partition, protocol, mayBeReplica);
  }

  viewChanged(): void {
    for (const lane of this.#all()) lane.viewChanged();
  }

  queues(): LaneQueues[] {
    return [...this.#all()].map((lane) => lane.queues());
  }

  close(): void {
    for (const lane of this.#all()) lane.close();
  }

  /** Masters' lanes first: they take what the others give up. */
  *#all(): Generator<Lane> {
    for (const lanes of [...this.#masters, ...this.#replicas]) {
      for (const lane of lanes) if (lane !== undefined) yield lane;
    }
  }

  #make(partition: number, protocol: Protocol, isToReplica: boolean): Lane {
    const { context } = this.#options;
    const common = { partition, protocol };
    const target = (): BackendTarget | undefined => {
      const node = masterNode(this.#options.view(), partition);
      return node === undefined ? undefined : targetOf(node);
    };
    const lane = isToReplica
      ? new Lane(
          {
            ...common,
            target: this.#replicaChoice(partition),
            fallback: this.of(partition, protocol, false),
          },
          context,
        )
      : new Lane({ ...common, target }, context);
    const lanes = (isToReplica ? this.#replicas : this.#masters)[protocol];
    if (lanes !== undefined) lanes[partition] = lane;
    return lane;
  }

  /** A replica whose link is up, by lot, so that several routers share the work; the same one for as long as it is up. */
  #replicaChoice(partition: number): () => BackendTarget | undefined {
    let chosen: string | undefined;
    return () => {
      const nodes = (this.#options.view()?.nodes ?? []).filter(
        (node) => node.partition === partition && node.role === "replica" && node.inSync,
      );
      const lot = Math.floor(this.#options.random.next() * nodes.length);
      const node = nodes.find(({ name }) => name === chosen) ?? nodes[lot];
      chosen = node?.name;
      return node === undefined ? undefined : targetOf(node);
    };
  }
}
