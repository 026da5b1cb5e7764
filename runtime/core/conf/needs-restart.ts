// needs-restart.ts: lists the changes of a twine.conf that a running monitor or router can't apply, for its operator.
// Pure.
import { nodesOf, type ClusterConfig, type NodeKind } from "../cluster.ts";
import { describeHashing, hashingWith } from "../hashing.ts";
import { printNode } from "./print.ts";

/** For a router; `name` is its node name. Empty: SIGHUP applies all changes. */
export function routerNeedsRestart(
  old: ClusterConfig,
  changed: ClusterConfig,
  name: string | undefined,
): string[] {
  const [was, is] = [old.settings, changed.settings];
  return [
    ...commonNeeds(old, changed),
    ...(was.leaseMs === is.leaseMs ? [] : ["lease"]),
    ...(was.workers === is.workers ? [] : ["workers"]),
    ...(was.tlsNodes === is.tlsNodes ? [] : ["tls-nodes"]),
    ...statusNodeNeeds(old, changed),
    ...ownLineNeeds(old, changed, "router", name),
  ];
}

/** For a monitor. Empty: SIGHUP applies all changes. */
export function monitorNeedsRestart(
  old: ClusterConfig,
  changed: ClusterConfig,
  name: string,
): string[] {
  return [
    ...commonNeeds(old, changed),
    ...statusNodeNeeds(old, changed),
    ...ownLineNeeds(old, changed, "monitor", name),
  ];
}

function commonNeeds(old: ClusterConfig, changed: ClusterConfig): string[] {
  const hashing = ({ settings }: ClusterConfig): string =>
    describeHashing(hashingWith(settings, null));
  return [
    ...(old.settings.cluster === changed.settings.cluster ? [] : ["cluster"]),
    ...(hashing(old) === hashing(changed) ? [] : ["partitions, hash and hash-tag"]),
  ];
}

function statusNodeNeeds(old: ClusterConfig, changed: ClusterConfig): string[] {
  const lines = (config: ClusterConfig): string =>
    nodesOf(config, "status").map(printNode).join("\n");
  return lines(old) === lines(changed) ? [] : ["the status nodes"];
}

function ownLineNeeds(
  old: ClusterConfig,
  changed: ClusterConfig,
  kind: NodeKind,
  name: string | undefined,
): string[] {
  const ownLine = (config: ClusterConfig): string | undefined => {
    const own = nodesOf(config, kind).find((node) => node.name === name);
    return own === undefined ? undefined : printNode(own);
  };
  return ownLine(old) === ownLine(changed) ? [] : ["its own line"];
}
