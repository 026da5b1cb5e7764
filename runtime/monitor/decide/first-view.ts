// first-view.ts: views that come from twine.conf: the very first one, and an alpha's first. Pure.
import { nodesOf, type ClusterConfig, type ClusterNode } from "../../core/cluster.ts";
import { hashingOf } from "../../core/hashing.ts";
import type { NodeView, PartitionView, View } from "../../core/view.ts";

/** A node of twine.conf that no view knows yet: dead until it is seen. */
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

/** Epoch 1, revision 1: everything that twine.conf names, all of it dead. */
export function firstView(
  config: ClusterConfig,
  confDigest: string,
  alpha: string,
  wallTime: string,
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
    hashing: hashingOf(config),
    partitions,
    nodes: nodesInViewOrder(config).map((node) => newNodeView(node, wallTime)),
  };
}

/**
 * The view with which a monitor that found `view` in the register begins its epoch. Its roles are handed on, for a
 * change of alpha must not stop the routers; but nobody has looked yet, so it is not OK before somebody has: after an
 * outage of everything the register still holds the view of before.
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
