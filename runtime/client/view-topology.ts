// view-topology.ts: who serves which partition, by the view that the status nodes confirm.
import { addressOf, type Settings } from "../core/cluster.ts";
import type { Credentials } from "../core/credentials.ts";
import type { NodeView, View } from "../core/view.ts";
import type { Random } from "../ports/random.ts";
import type { GuardedView } from "../register/guarded-view.ts";
import type { Topology } from "./lane-context.ts";
import type { NodeTarget } from "./node-connection.ts";

export interface ViewTopologyOptions {
  readonly view: GuardedView;
  readonly partitionCount: number;
  readonly readFrom: Settings["readFrom"];
  readonly credentials: Credentials | undefined;
  readonly random: Random;
}

/** What the view says of one partition. */
interface Served {
  readonly master: NodeTarget | undefined;
  readonly readers: readonly NodeTarget[];
}

const UNSERVED: Served = { master: undefined, readers: [] };

export function viewTopology(options: ViewTopologyOptions): Topology {
  const { view, partitionCount, credentials } = options;
  /** By partition, the replica that reads go to: by lot, so that several clients share the work, and the same one for as
      long as it is in sync. */
  const chosen: (string | undefined)[] = [];
  let read: View | undefined;
  let served: readonly Served[] = [];
  const choose = (partition: number, nodes: readonly NodeView[]): NodeView[] => {
    if (options.readFrom === "master") return [];
    const lot = Math.floor(options.random.next() * nodes.length);
    const node = nodes.find(({ name }) => name === chosen[partition]) ?? nodes[lot];
    chosen[partition] = node?.name;
    return node === undefined ? [] : [node];
  };
  // Read once for each view: every command asks.
  const of = (partition: number): Served => {
    const current = view.current();
    if (current !== read && current !== undefined) {
      served = Array.from({ length: partitionCount }, (_, index) => {
        const name = current.partitions.find((part) => part.index === index)?.master;
        const master = current.nodes.find((node) => node.name === name);
        const replicas = current.nodes.filter(
          (node) => node.partition === index && node.role === "replica" && node.inSync,
        );
        return {
          master: master === undefined ? undefined : targetOf(master, credentials),
          readers: choose(index, replicas).map((node) => targetOf(node, credentials)),
        };
      });
    }
    read = current;
    return served[partition] ?? UNSERVED;
  };
  return {
    partitionCount,
    master: (partition) => of(partition).master,
    readers: (partition) => of(partition).readers,
    mayWrite: () => view.isConfirmed(),
    clash: () => view.clash(),
    onChange: (task) => view.onChange(task),
  };
}

export function targetOf(node: NodeView, credentials: Credentials | undefined): NodeTarget {
  return {
    name: node.name,
    host: addressOf(node.host),
    port: node.port,
    db: node.db ?? 0,
    credentials,
    incarnation: `${node.runId ?? ""} ${node.since}`,
  };
}
