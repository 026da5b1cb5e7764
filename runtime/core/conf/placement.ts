// placement.ts: warnings about clusters that work, but less safely than possible. Pure.
// A cluster on localhost alone gets no warnings about hosts: its file shows on every line that it uses one machine.
import type { ClusterConfig, ClusterNode, DataNode } from "../cluster.ts";
import { majorityOf, nodesOf } from "../cluster.ts";
import type { Problem } from "../errors.ts";
import { printDuration } from "./durations.ts";
import { hasOrHave, printPartitions } from "./ranges.ts";
import { isAdditive } from "./redis-directives.ts";
import { hostKey } from "./relations.ts";

/** All warnings about a valid config. */
export function warningsOf(config: ClusterConfig): Problem[] {
  return [
    ...warnHosts(config),
    ...warnReplicas(config),
    ...warnVoters(config, "status"),
    ...warnVoters(config, "monitor"),
    ...warnTimes(config),
    ...warnRedis(config),
  ];
}

function isLoopback(host: string): boolean {
  return /^(127\.|::1$)/.test(hostKey(host));
}

function byPartition(config: ClusterConfig): Map<number, DataNode[]> {
  const partitions = new Map<number, DataNode[]>();
  for (const node of nodesOf(config, "data")) {
    const nodes = partitions.get(node.partition);
    if (nodes === undefined) partitions.set(node.partition, [node]);
    else nodes.push(node);
  }
  return partitions;
}

function hostsIn(nodes: readonly ClusterNode[]): Set<string> {
  return new Set(nodes.map((node) => hostKey(node.host)));
}

/** The partitions' numbers as text, and the location of the first partition's first node. */
function named(found: readonly (readonly [number, readonly DataNode[]])[]): {
  who: string;
  at: Pick<Problem, "at">;
} {
  const first = found[0]?.[1][0];
  const at = first === undefined ? {} : { at: first.at };
  return { who: printPartitions(found.map(([partition]) => partition)), at };
}

function warnHosts(config: ClusterConfig): Problem[] {
  const local = config.nodes.find((node) => isLoopback(node.host));
  const remote = config.nodes.find((node) => !isLoopback(node.host));
  if (remote === undefined) return [];
  const problems: Problem[] = [];
  if (local !== undefined) {
    problems.push({
      code: "CONF_LOCALHOST_MIXED",
      message:
        `node ${local.name} is on ${local.host}, which means another machine on each host, ` +
        `and node ${remote.name} (line ${remote.at.line}) is on ${remote.host}`,
      at: local.at,
      remedy: "write a name or an address that every host can reach",
    });
  }
  if (hostsIn(config.nodes).size === 1) {
    problems.push({
      code: "CONF_ONE_HOST",
      message: `all nodes are on ${remote.host}: when this host fails, the whole cluster fails`,
      at: remote.at,
      remedy: "spread the nodes of each partition, the status nodes and the monitors over hosts",
    });
    return problems;
  }
  const shared = [...byPartition(config)].filter(
    ([, nodes]) => nodes.length > 1 && hostsIn(nodes).size === 1,
  );
  if (shared.length > 0) {
    const { who, at } = named(shared);
    const pronoun = shared.length === 1 ? "the partition has" : "they have";
    problems.push({
      code: "CONF_SHARED_HOST",
      message: `all nodes of ${who} are on one host: when it fails, ${pronoun} no master`,
      ...at,
      remedy: "put the replicas of a partition on other hosts than its first node",
    });
  }
  return problems;
}

function warnReplicas(config: ClusterConfig): Problem[] {
  const alone = [...byPartition(config)].filter(([, nodes]) => nodes.length === 1);
  if (alone.length === 0) return [];
  const { who, at } = named(alone);
  return [
    {
      code: "CONF_NO_REPLICA",
      message: `${who} ${hasOrHave(alone)} no replica`,
      ...at,
      remedy: "add a second data line with the same partition: without one nothing can take over",
    },
  ];
}

function warnVoters(config: ClusterConfig, kind: "status" | "monitor"): Problem[] {
  const nodes: readonly ClusterNode[] = nodesOf(config, kind);
  const last = nodes.at(-1);
  if (last === undefined) return [];
  const noun = kind === "status" ? "status nodes" : "monitors";
  const majority = majorityOf(nodes.length);
  if (nodes.length % 2 === 0) {
    const bears = nodes.length - majority;
    return [
      {
        code: kind === "status" ? "CONF_EVEN_STATUS" : "CONF_EVEN_MONITORS",
        message: `${nodes.length} ${noun} tolerate the loss of ${bears}; ${nodes.length - 1} would tolerate as many`,
        at: last.at,
        remedy: `write an odd number of ${noun}: ${nodes.length - 1} or ${nodes.length + 1}`,
      },
    ];
  }
  // With fewer than three hosts, one of them always has a majority.
  if (nodes.length === 1 || hostsIn(config.nodes).size < 3) return [];
  const crowded = nodes.find(
    (node) =>
      nodes.filter((other) => hostKey(other.host) === hostKey(node.host)).length >= majority,
  );
  if (crowded === undefined) return [];
  return [
    {
      code: "CONF_MAJORITY_ON_ONE_HOST",
      message: `${crowded.host} holds a majority of the ${noun}: when it fails, no failover is possible`,
      at: crowded.at,
      remedy: `spread the ${noun} over hosts`,
    },
  ];
}

function warnTimes(config: ClusterConfig): Problem[] {
  const { holdForMs, downAfterMs, leaseMs } = config.settings;
  const needMs = downAfterMs + leaseMs;
  if (holdForMs === 0 || holdForMs > needMs) return [];
  return [
    {
      code: "CONF_HOLD_SHORT",
      message:
        `hold-for ${printDuration(holdForMs)} is too short for a failover of a silent master ` +
        `(down-after ${printDuration(downAfterMs)} plus lease ${printDuration(leaseMs)})`,
      remedy: `write hold-for ${printDuration(2 * needMs)} or more, or 0s to buffer nothing`,
    },
  ];
}

function warnRedis(config: ClusterConfig): Problem[] {
  const firsts = new Map<string, number>();
  return config.settings.redis.flatMap(({ name, at }) => {
    const first = firsts.get(name);
    firsts.set(name, first ?? at.line);
    if (first === undefined || isAdditive(name)) return [];
    return {
      code: "CONF_REDIS_TWICE",
      message: `redis ${name} is also on line ${first}, and Redis uses the last one`,
      at,
      remedy: "keep one of the two lines",
    };
  });
}
