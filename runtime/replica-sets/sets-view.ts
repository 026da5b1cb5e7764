// sets-view.ts: a view of replica sets, built in this process from the INFO of their members.
//
// It is always confirmed, because the process that promotes is the process that routes.
import { stateOf, type NodeView, type PartitionView, type View } from "../core/view.ts";
import type { ViewSource } from "../register/view-source.ts";
import { ReplicaSet, type RedNode, type ReplicaSetOptions, type SetMember } from "./replica-set.ts";

export interface SetsViewOptions extends Omit<
  ReplicaSetOptions,
  "index" | "nodes" | "onChange" | "onFailover"
> {
  /** By set; the first node is the configured master. */
  readonly sets: readonly (readonly RedNode[])[];
  onFailover(change: {
    readonly partition: number;
    readonly from: string;
    readonly to: string;
  }): void;
}

/** Set n is partition n. There is no view before start() has resolved. */
export class SetsView implements ViewSource {
  readonly sets: readonly ReplicaSet[];
  readonly #listeners = new Set<() => void>();
  #view: View | undefined;
  #revision = 0;

  constructor({ sets, ...options }: SetsViewOptions) {
    this.sets = sets.map(
      (nodes, index) =>
        new ReplicaSet({
          ...{ ...options, index, nodes },
          onChange: () => {
            this.#look();
          },
          onFailover: (from, to) => {
            options.onFailover({ partition: index, from, to });
          },
        }),
    );
  }

  /** Resolves after every member of every set was asked once. */
  async start(): Promise<void> {
    await Promise.all(this.sets.map((set) => set.tend()));
    this.#look();
  }

  current(): View | undefined {
    return this.#view;
  }

  isConfirmed(): boolean {
    return true;
  }

  onChange(task: () => void): () => void {
    this.#listeners.add(task);
    return () => this.#listeners.delete(task);
  }

  /** Call this when a connection to that node broke: its set is checked at once. */
  suspect(partition: number, node: string): void {
    const set = this.sets[partition];
    if (set?.master?.name === node) void set.tend();
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await Promise.all(this.sets.map((set) => set.close()));
  }

  #look(): void {
    const partitions = this.sets.map(partitionView);
    const nodes = this.sets.flatMap((set, index) =>
      set.members.map((member) => nodeView(member, index, set)),
    );
    this.#view = {
      ...{ cluster: "red", epoch: 0, revision: ++this.#revision, alpha: "", confDigest: "" },
      ...{ state: stateOf({ partitions, nodes }), updatedAt: "", partitions, nodes },
    };
    for (const listener of [...this.#listeners]) listener();
  }
}

function partitionView(set: ReplicaSet, index: number): PartitionView {
  const { master, readers, members } = set;
  const replicas = readers.map(({ name }) => name);
  const dead = members
    .map(({ name }) => name)
    .filter((name) => name !== master?.name && !replicas.includes(name));
  return {
    ...{ index, master: master?.name ?? null, replicas, dead },
    ...{ replicationId: null, lastMaster: null, needs: null },
  };
}

function nodeView(
  { name, host, port, db, runId }: SetMember,
  partition: number,
  set: ReplicaSet,
): NodeView {
  const isReader = set.readers.some((reader) => reader.name === name);
  const role = set.master?.name === name ? "master" : isReader ? "replica" : "dead";
  return {
    ...{ name, kind: "data", host, port, db, partition, role },
    ...{ inSync: role !== "dead", runId, since: "" },
  };
}
