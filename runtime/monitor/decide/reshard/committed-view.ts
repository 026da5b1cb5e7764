// committed-view.ts: the view at the end of a resharding: the new partitions, and their nodes in place of the old ones. Pure.
import type { ClusterConfig } from "../../../core/cluster.ts";
import { confDigest } from "../../../core/conf/digest.ts";
import { builtinHashing } from "../../../core/hashing.ts";
import type { NewMaster } from "../../../core/request.ts";
import { rememberedLayout } from "../../../core/reshard.ts";
import { stateOf, type NodeView, type PartitionView, type View } from "../../../core/view.ts";
import { without } from "../../../core/without.ts";
import { isSamePlace } from "../handover/retire.ts";
import { newNodeView, nodesInViewOrder } from "../views/first-view.ts";

export interface CommitInput {
  readonly view: View;
  readonly config: ClusterConfig;
  /** By partition of `config`. */
  readonly masters: readonly NewMaster[];
  readonly wallTime: string;
}

/**
 * The new masters serve at once: the tool has seen that they report master. If one has died since, its run id differs or it
 * refuses, and the rules of a lost master decide. Replicas count when the alpha has seen them in sync.
 */
export function committedView({ view, config, masters, wallTime }: CommitInput): View {
  const nodes = nodesInViewOrder(config).map((node): NodeView => {
    const old = view.nodes.find((before) => isSamePlace(before, node));
    if (old !== undefined) return old;
    const fresh = newNodeView(node, wallTime);
    const master = masters.find(({ node: name }) => name === node.name);
    if (master === undefined) return fresh;
    return { ...fresh, role: "master", inSync: true, runId: master.runId };
  });
  const partitions = masters.map((master, index) => newPartition(index, master, nodes));
  const next: View = {
    ...without(view, "reshard"),
    confDigest: confDigest(config),
    hashing: builtinHashing(config.settings),
    resharded: rememberedLayout(view, wallTime),
    partitions,
    nodes,
  };
  return { ...next, state: stateOf(next) };
}

function newPartition(
  index: number,
  { node, runId, replicationId }: NewMaster,
  nodes: readonly NodeView[],
): PartitionView {
  return {
    index,
    master: node,
    replicas: [],
    dead: nodes.flatMap(({ name, partition }) =>
      partition === index && name !== node ? [name] : [],
    ),
    replicationId,
    lastMaster: node,
    needs: null,
    promoting: null,
    masterRunId: runId,
  };
}

/** Why these can't be the masters of the new partitions; undefined if they can. */
export function mastersConflict(
  masters: readonly NewMaster[],
  config: ClusterConfig,
): string | undefined {
  const { partitions } = config.settings;
  if (masters.length !== partitions) {
    return `it names ${masters.length} masters for ${partitions} partitions`;
  }
  const wrong = masters.find(
    ({ node: name }, index) =>
      !config.nodes.some(
        (node) => node.kind === "data" && node.name === name && node.partition === index,
      ),
  );
  return wrong === undefined ? undefined : `${wrong.node} is no node of its partition`;
}
