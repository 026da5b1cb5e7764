// shown-view.ts: the view that a test shows in the alpha's place.
import { stateOf, type NodeView, type View } from "../../runtime/core/view.ts";

/** What a view repeats of a node's line in twine.conf; `db` and `partition` are null for all but data nodes. */
export type ShownNode = Pick<NodeView, "name" | "kind" | "host" | "port" | "db" | "partition">;

export interface Shown {
  readonly nodes: readonly ShownNode[];
  /** By partition, the name of its master, or null. */
  readonly masters: readonly (string | null)[];
  /** Names of nodes of any kind. */
  readonly dead?: readonly string[];
  readonly revision: number;
}

export function shownDataNode(name: string, port: number, partition: number): ShownNode {
  return { name, kind: "data", host: "localhost", port, db: partition, partition };
}

/** Data nodes are master, replica or dead; the others up or dead. Replicas are in sync. */
export function shownView({ nodes, masters, dead = [], revision }: Shown): View {
  const roleOf = ({ name, partition }: ShownNode): NodeView["role"] => {
    if (dead.includes(name)) return "dead";
    if (partition === null) return "up";
    return masters[partition] === name ? "master" : "replica";
  };
  const since = `revision ${revision}`;
  const nodeViews = nodes.map((node): NodeView => {
    const role = roleOf(node);
    return { ...node, role, inSync: role !== "dead", runId: null, since };
  });
  const partitions = masters.map((master, index) => {
    const withRole = (role: NodeView["role"]): string[] =>
      nodeViews.flatMap((node) =>
        node.partition === index && node.role === role ? [node.name] : [],
      );
    const replicas = withRole("replica");
    const unset = { replicationId: null, lastMaster: null, needs: null };
    return { index, master, replicas, dead: withRole("dead"), ...unset };
  });
  const state = stateOf({ partitions, nodes: nodeViews });
  const writer = { alpha: "m1", updatedAt: "", confDigest: "" };
  return { cluster: "twine", state, epoch: 1, revision, ...writer, partitions, nodes: nodeViews };
}
