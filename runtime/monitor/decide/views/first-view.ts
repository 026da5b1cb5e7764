// first-view.ts: views made from twine.conf: the very first one, and the first one of a new alpha. Pure.
import { nodesOf, type ClusterConfig, type ClusterNode } from "../../../core/cluster.ts";
import { builtinHashing, type Hashing } from "../../../core/hashing.ts";
import type { NodeView, PartitionView, View } from "../../../core/view.ts";

/** A node of twine.conf that is not in the view yet: dead until it is seen. */
export function newNodeView(node: ClusterNode, wallTime: string): NodeView {
  const { name, kind, host, port } = node;
  return {
    name,
    kind,
    host,
    port,
    db: node.kind === "data" || node.kind === "status" ? node.db : null,
    partition: node.kind === "data" ? node.partition : null,
    role: "dead",
    inSync: false,
    runId: null,
    since: wallTime,
  };
}

/** All nodes of twine.conf in the order of a view: by kind, each first to last. */
export function nodesInViewOrder(config: ClusterConfig): ClusterNode[] {
  return [
    ...nodesOf(config, "data"),
    ...nodesOf(config, "status"),
    ...nodesOf(config, "monitor"),
    ...nodesOf(config, "router"),
  ];
}

function newPartitionView(index: number, dead: readonly string[]): PartitionView {
  return {
    index,
    master: null,
    replicas: [],
    dead,
    replicationId: null,
    lastMaster: null,
    needs: null,
    promoting: null,
    masterRunId: null,
  };
}

/** Epoch 1, revision 1: all nodes of twine.conf, all dead. */
export function firstView(
  config: ClusterConfig,
  confDigest: string,
  alpha: string,
  wallTime: string,
  hashing: Hashing = builtinHashing(config.settings),
): View {
  const data = nodesOf(config, "data");
  const partitions = Array.from({ length: config.settings.partitions }, (_, index) =>
    newPartitionView(
      index,
      data.filter(({ partition }) => partition === index).map(({ name }) => name),
    ),
  );
  return {
    cluster: config.settings.cluster,
    state: "HALT",
    epoch: 1,
    revision: 1,
    alpha,
    updatedAt: wallTime,
    confDigest,
    hashing,
    partitions,
    nodes: nodesInViewOrder(config).map((node) => newNodeView(node, wallTime)),
  };
}

/**
 * The first view of a new alpha that found `view` in the register. Roles stay, because a change of alpha must not stop the
 * routers. It is not OK before this alpha has asked the nodes: after an outage of everything the register still holds the
 * view from before.
 */
export function inheritedView(view: View, alpha: string, wallTime: string): View {
  return {
    ...view,
    state: view.state === "OK" ? "DEGRADED" : view.state,
    epoch: view.epoch + 1,
    revision: view.revision + 1,
    alpha,
    updatedAt: wallTime,
  };
}
