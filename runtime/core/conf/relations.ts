// relations.ts: what lines must not say against each other: names, ports, partitions, dbs, times.
// Pure.
// Every complaint stands at the later line and names the earlier one.
import { addressOf, type ClusterNode, type DataNode, type Settings } from "../cluster.ts";
import type { Problem, SourceAt } from "../errors.ts";
import { printDuration } from "./durations.ts";
import type { NodeWords } from "./node-lines.ts";
import { hasOrHave, printPartitions } from "./ranges.ts";

/** Everything that the lines said, before it is known to fit together. */
export interface Draft {
  readonly file: string;
  readonly nodes: readonly ClusterNode[];
  /** Where the numbers of each node's line stand. */
  readonly words: ReadonlyMap<ClusterNode, NodeWords>;
  /** What the directives set over the defaults. */
  readonly settings: Settings;
  /** Where each directive stands. */
  readonly places: ReadonlyMap<string, SourceAt>;
  /** Partitions of data lines that have another fault: not to be called missing as well. */
  readonly claimed: readonly number[];
  /**
   * A data line whose partition can't be read, or a line of unknown kind: then no partition is
   * called missing.
   */
  readonly isGuessing: boolean;
}

/** All clashes between the lines of a draft. */
export function checkRelations(draft: Draft): Problem[] {
  const data = draft.nodes.filter((node) => node.kind === "data");
  return [
    ...checkPorts(draft),
    ...checkDbs(draft, data),
    ...checkPartitions(draft, data),
    ...checkAckReplicas(draft, data),
    ...checkTimes(draft),
    ...checkTls(draft),
  ];
}

/** The same text for all spellings of a host: localhost is 127.0.0.1, and names have no case. */
export function hostKey(host: string): string {
  return addressOf(host.toLowerCase());
}

/** The ports that a node listens on. */
export function portsOf(node: ClusterNode): number[] {
  const second =
    node.kind === "monitor"
      ? node.sentinelPort
      : node.kind === "router"
        ? node.statsPort
        : undefined;
  return second === undefined ? [node.port] : [node.port, second];
}

/** The place of one of a node's numbers, or of its name when the line leaves the number out. */
function placeIn(draft: Draft, node: ClusterNode, number: keyof NodeWords): SourceAt {
  const word = draft.words.get(node)?.[number];
  return word === undefined ? node.at : { ...node.at, column: word.start + 1 };
}

function checkPorts(draft: Draft): Problem[] {
  const takers = new Map<string, ClusterNode>();
  const problems: Problem[] = [];
  for (const node of draft.nodes) {
    for (const [index, port] of portsOf(node).entries()) {
      const key = `${hostKey(node.host)} ${port}`;
      const taker = takers.get(key);
      takers.set(key, taker ?? node);
      if (taker === undefined) continue;
      const clash =
        taker === node
          ? `${node.kind} ${node.name} uses port ${port} twice`
          : `nodes ${taker.name} (line ${taker.at.line}) and ${node.name} both use port ${port}`;
      problems.push({
        code: "CONF_PORT_TAKEN",
        message: `${clash} on ${node.host}`,
        at: placeIn(draft, node, index === 0 ? "port" : "extra"),
        remedy: "give every node on one host its own port (localhost and 127.0.0.1 are one host)",
      });
    }
  }
  return problems;
}

function checkDbs(draft: Draft, data: readonly DataNode[]): Problem[] {
  const firsts = new Map<number, DataNode>();
  return data.flatMap((node) => {
    const first = firsts.get(node.partition) ?? node;
    firsts.set(node.partition, first);
    if (first.db === node.db) return [];
    const said = `${first.name} (line ${first.at.line}) says db ${first.db}`;
    return {
      code: "CONF_DB_MISMATCH",
      message: `of partition ${node.partition}, ${said} and ${node.name} db ${node.db}`,
      at: placeIn(draft, node, "extra"),
      remedy: "give all nodes of a partition the same db: a replica has what its master has",
    };
  });
}

function checkPartitions(draft: Draft, data: readonly DataNode[]): Problem[] {
  const { settings, places, file } = draft;
  const claimed = new Set([...draft.claimed, ...data.map((node) => node.partition)]);
  const said = places.get("partitions");
  if (claimed.size === 0) {
    if (draft.isGuessing) return [];
    return [
      {
        code: "CONF_NO_DATA",
        message: "there is no data node",
        at: { file, line: 1, column: 1 },
        remedy: "add at least one line of the form NAME=data PARTITION [HOST] PORT [DB]",
      },
    ];
  }
  const isSaid = said !== undefined && settings.partitions > 0;
  const highest = Math.max(...claimed);
  const partitions = isSaid ? settings.partitions : highest + 1;
  const strays = isSaid ? data.filter((node) => node.partition >= partitions) : [];
  const problems: Problem[] = strays.map((node) => ({
    code: "CONF_PARTITION_RANGE",
    message:
      `${node.name} is of partition ${node.partition}, but partitions ${partitions} ` +
      `(line ${said?.line ?? 0}) allows 0 to ${partitions - 1}`,
    at: placeIn(draft, node, "partition"),
    remedy: `write partitions ${highest + 1}, or give the node a lower partition`,
  }));
  const missing = Array.from({ length: partitions }, (_, index) => index).filter(
    (index) => !claimed.has(index),
  );
  if (missing.length === 0 || draft.isGuessing) return problems;
  const last = data.find((node) => node.partition === highest);
  const why = isSaid
    ? `partitions ${partitions}`
    : `the highest partition, ${highest}, makes ${partitions}`;
  problems.push({
    code: "CONF_PARTITION_GAP",
    message: `${why}, but ${printPartitions(missing)} ${hasOrHave(missing)} no data node`,
    at: (isSaid ? said : last && placeIn(draft, last, "partition")) ?? { file, line: 1, column: 1 },
    remedy: "number the partitions from 0 without a gap, and give each at least one data node",
  });
  return problems;
}

function checkAckReplicas(draft: Draft, data: readonly DataNode[]): Problem[] {
  const { ackReplicas } = draft.settings;
  if (ackReplicas === 0 || draft.isGuessing) return [];
  const counts = new Map<number, number>();
  for (const partition of [...draft.claimed, ...data.map((node) => node.partition)]) {
    counts.set(partition, (counts.get(partition) ?? 0) + 1);
  }
  const short = [...counts].filter(([, nodes]) => nodes - 1 < ackReplicas);
  if (short.length === 0) return [];
  const fewest = Math.min(...short.map(([, nodes]) => nodes - 1));
  return [
    {
      code: "CONF_ACK_REPLICAS",
      message:
        `ack-replicas ${ackReplicas} wants more replicas than there are in ` +
        `${printPartitions(short.map(([partition]) => partition))} (as few as ${fewest})`,
      at: draft.places.get("ack-replicas") ?? { file: draft.file, line: 1, column: 1 },
      remedy: `write ack-replicas ${fewest}, or add data nodes to the partition`,
    },
  ];
}

/**
 * A monitor's own stumble (a pause, a lost packet) that is too short to cost the alpha its lease
 * must not take masters down either, so down-after is at least the lease.
 */
function checkTimes(draft: Draft): Problem[] {
  const { downAfterMs, leaseMs } = draft.settings;
  if (downAfterMs >= leaseMs) return [];
  const lease = placedValue(draft, "lease", leaseMs);
  const downAfter = placedValue(draft, "down-after", downAfterMs);
  return [
    {
      code: "CONF_TIMES_CLASH",
      message: `${downAfter} is shorter than ${lease}`,
      at: draft.places.get("down-after") ??
        draft.places.get("lease") ?? { file: draft.file, line: 1, column: 1 },
      remedy:
        `write down-after ${printDuration(leaseMs)} or more, or ` +
        `lease ${printDuration(downAfterMs)} or less: ` +
        "a stumble that costs no alpha its lease must not take a master down",
    },
  ];
}

function placedValue(draft: Draft, name: string, ms: number): string {
  const place = draft.places.get(name);
  const origin = place === undefined ? "the default" : `line ${place.line}`;
  return `${name} ${printDuration(ms)} (${origin})`;
}

/** A certificate and its key come together, and clients' certificates need an authority to be checked by. */
function checkTls(draft: Draft): Problem[] {
  const { tlsCert, tlsKey, tlsCa, tlsAuthClients } = draft.settings;
  const clash = (at: string, message: string, remedy: string): Problem[] => [
    {
      code: "CONF_TLS_CLASH",
      message,
      at: draft.places.get(at) ?? { file: draft.file, line: 1, column: 1 },
      remedy,
    },
  ];
  const says = `tls-auth-clients ${tlsAuthClients}`;
  return [
    ...(tlsCert !== undefined && tlsKey === undefined
      ? clash("tls-cert", "tls-cert without tls-key", "name the certificate's key with tls-key")
      : []),
    ...(tlsKey !== undefined && tlsCert === undefined
      ? clash("tls-key", "tls-key without tls-cert", "name the key's certificate with tls-cert")
      : []),
    ...(tlsAuthClients !== "no" && (tlsCa === undefined || tlsCert === undefined)
      ? clash(
          "tls-auth-clients",
          `${says} without ${tlsCert === undefined ? "tls-cert" : "tls-ca"}`,
          "name the router's certificate with tls-cert and the authority of clients' ones with tls-ca",
        )
      : []),
  ];
}
