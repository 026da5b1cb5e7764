// relations.ts: checks for conflicts between lines: names, ports, partitions, dbs, times. Pure.
// Every error is located at the later line and names the earlier one.
import { addressOf, type ClusterNode, type DataNode, type Settings } from "../cluster.ts";
import type { Problem, SourceAt } from "../errors.ts";
import { partitionsOf } from "../hash/distribution.ts";
import { ackReplicasProblem } from "./ack-replicas.ts";
import { printDuration } from "./durations.ts";
import type { NodeWords } from "./node-lines.ts";
import { hasOrHave, printPartitions } from "./ranges.ts";
import { checkStack } from "./stack-relations.ts";

/** The content of all lines, before the check that they fit together. */
export interface Draft {
  readonly file: string;
  readonly nodes: readonly ClusterNode[];
  /** The locations of the numbers in each node's line. */
  readonly words: ReadonlyMap<ClusterNode, NodeWords>;
  /** The settings: the defaults, changed by the directives. */
  readonly settings: Settings;
  /** The location of each directive. */
  readonly places: ReadonlyMap<string, SourceAt>;
  /** Partitions of data lines with another error: these are not reported as missing too. */
  readonly claimed: readonly number[];
  /**
   * True after a data line with an unreadable partition, or a line of unknown kind. Then no partition is reported as
   * missing.
   */
  readonly isGuessing: boolean;
}

/** All conflicts between the lines of a draft. */
export function checkRelations(draft: Draft): Problem[] {
  const data = draft.nodes.filter((node) => node.kind === "data");
  return [
    ...checkPorts(draft),
    ...checkDbs(draft, data),
    ...checkPartitions(draft, data),
    ...checkDistribution(draft),
    ...checkAckReplicas(draft, data),
    ...checkTimes(draft),
    ...checkTls(draft),
    ...checkMonitPort(draft),
    ...checkArchive(draft),
    ...checkRehearsals(draft),
    ...checkStack(draft),
  ];
}

/** Without a backup-dir the operator would believe that an archive exists. */
function checkArchive({ settings, places, file }: Draft): Problem[] {
  if (settings.backupArchive === "no" || settings.backupDirs.length > 0) return [];
  return [
    {
      code: "CONF_ARCHIVE_NOWHERE",
      message: "backup-archive yes, and no line says where the archive is to lie",
      at: places.get("backup-archive") ?? { file, line: 1, column: 1 },
      remedy: "write backup-dir FOLDER or backup-dir s3://BUCKET/PREFIX, or take the line out",
    },
  ];
}

function checkRehearsals({ settings, places, file }: Draft): Problem[] {
  const { backupRehearseMs, backupDirs, backupKey } = settings;
  if (backupRehearseMs === undefined) return [];
  const at = places.get("backup-rehearse") ?? { file, line: 1, column: 1 };
  if (backupDirs.length === 0) {
    const message = "backup-rehearse, and no line says where backups are to lie";
    const remedy = "write backup-dir FOLDER or backup-dir s3://BUCKET/PREFIX, or take the line out";
    return [{ code: "CONF_REHEARSAL_NOWHERE", message, at, remedy }];
  }
  if (backupKey === undefined) return [];
  const message = "backup-rehearse with backup-key: the cluster can't read its own backups";
  const remedy =
    "take the line out, and run twine-backup --rehearse --identity FILE where the secret key is";
  return [{ code: "CONF_REHEARSAL_KEY", message, at, remedy }];
}

/** The same text for all spellings of a host: localhost is 127.0.0.1, and case does not matter. */
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

/** The location of one of a node's numbers, or of its name if the line omits the number. */
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
      const conflict =
        taker === node
          ? `${node.kind} ${node.name} uses port ${port} twice`
          : `nodes ${taker.name} (line ${taker.at.line}) and ${node.name} both use port ${port}`;
      problems.push({
        code: "CONF_PORT_TAKEN",
        message: `${conflict} on ${node.host}`,
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
    const said = `${first.name} (line ${first.at.line}) has db ${first.db}`;
    return {
      code: "CONF_DB_MISMATCH",
      message: `${said} and ${node.name} db ${node.db}, and both are in partition ${node.partition}`,
      at: placeIn(draft, node, "extra"),
      remedy:
        "write the same DB on every line of a partition: a replica holds its master's databases",
    };
  });
}

/** A distribution must have one word for each partition. */
function checkDistribution({ settings, places, nodes, file }: Draft): Problem[] {
  const { hash } = settings;
  if (hash.kind !== "builtin" || hash.distribution === undefined) return [];
  const { kind } = hash.distribution;
  const parts = partitionsOf(hash.distribution);
  const highest = Math.max(-1, ...nodes.map((n) => (n.kind === "data" ? n.partition : -1)));
  const partitions = settings.partitions > 0 ? settings.partitions : highest + 1;
  if (parts === partitions || partitions === 0) return [];
  return [
    {
      code: "CONF_HASH_PARTS",
      message: `hash ${hash.name} ${kind} has ${parts} parts, but there are ${partitions} partitions`,
      at: places.get("hash") ?? { file, line: 1, column: 1 },
      remedy: "write one part for each partition, in the order of their numbers",
    },
  ];
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
  const beyond = isSaid ? data.filter((node) => node.partition >= partitions) : [];
  const problems: Problem[] = beyond.map((node) => ({
    code: "CONF_PARTITION_RANGE",
    message:
      `${node.name} is in partition ${node.partition}, but partitions ${partitions} ` +
      `(line ${said?.line ?? 0}) allows 0 to ${partitions - 1}`,
    at: placeIn(draft, node, "partition"),
    remedy: `write partitions ${highest + 1}, or give the node a lower partition`,
  }));
  const missing = Array.from({ length: partitions }, (_, index) => index).filter(
    (index) => !claimed.has(index),
  );
  if (missing.length === 0 || draft.isGuessing) return problems;
  const last = data.find((node) => node.partition === highest);
  const why = isSaid ? `partitions ${partitions}` : `the highest partition is ${highest}`;
  problems.push({
    code: "CONF_PARTITION_GAP",
    message: `${why}, but ${printPartitions(missing)} ${hasOrHave(missing)} no data node`,
    at: (isSaid ? said : last && placeIn(draft, last, "partition")) ?? { file, line: 1, column: 1 },
    remedy: "number the partitions from 0 without a gap, and give each at least one data node",
  });
  return problems;
}

function checkAckReplicas(draft: Draft, data: readonly DataNode[]): Problem[] {
  if (draft.isGuessing) return [];
  const partitions = [...draft.claimed, ...data.map((node) => node.partition)];
  const problem = ackReplicasProblem("ack-replicas", draft.settings.ackReplicas, partitions);
  const at = draft.places.get("ack-replicas") ?? { file: draft.file, line: 1, column: 1 };
  return problem === undefined ? [] : [{ ...problem, at }];
}

/** monit listens on localhost of every host, beside the nodes. */
function checkMonitPort(draft: Draft): Problem[] {
  const { supervisor, monitPort } = draft.settings;
  const taker = draft.nodes.find((node) => portsOf(node).includes(monitPort));
  if (supervisor !== "monit" || taker === undefined) return [];
  return [
    {
      code: "CONF_PORT_TAKEN",
      message: `monit and node ${taker.name} (line ${taker.at.line}) both use port ${monitPort} on ${taker.host}`,
      at: draft.places.get("monit-port") ?? taker.at,
      remedy: "write monit-port with a port that no node uses",
    },
  ];
}

/**
 * down-after must be at least the lease. A paused monitor or a lost packet that is too short to end the alpha's lease
 * must not make a master count as down.
 */
function checkTimes(draft: Draft): Problem[] {
  const { downAfterMs, leaseMs } = draft.settings;
  if (downAfterMs >= leaseMs) return [];
  const lease = placedValue(draft, "lease", leaseMs);
  const downAfter = placedValue(draft, "down-after", downAfterMs);
  return [
    {
      code: "CONF_TIMES_CONFLICT",
      message: `${downAfter} is shorter than ${lease}`,
      at: draft.places.get("down-after") ??
        draft.places.get("lease") ?? { file: draft.file, line: 1, column: 1 },
      remedy:
        `write down-after ${printDuration(leaseMs)} or more, or ` +
        `lease ${printDuration(downAfterMs)} or less: ` +
        "a pause too short to end the alpha's lease must not make a master count as down",
    },
  ];
}

function placedValue(draft: Draft, name: string, ms: number): string {
  const place = draft.places.get(name);
  const origin = place === undefined ? "the default" : `line ${place.line}`;
  return `${name} ${printDuration(ms)} (${origin})`;
}

/** A certificate needs its key, and clients' certificates need a CA to be checked by. */
function checkTls(draft: Draft): Problem[] {
  const { tlsCert, tlsKey, tlsCa, tlsAuthClients } = draft.settings;
  const conflict = (at: string, message: string, remedy: string): Problem[] => [
    {
      code: "CONF_TLS_CONFLICT",
      message,
      at: draft.places.get(at) ?? { file: draft.file, line: 1, column: 1 },
      remedy,
    },
  ];
  const says = `tls-auth-clients ${tlsAuthClients}`;
  return [
    ...(tlsCert !== undefined && tlsKey === undefined
      ? conflict(
          "tls-cert",
          "tls-cert needs tls-key",
          "write tls-key FILE: the private key of the certificate",
        )
      : []),
    ...(tlsKey !== undefined && tlsCert === undefined
      ? conflict(
          "tls-key",
          "tls-key needs tls-cert",
          "write tls-cert FILE: the certificate of this key",
        )
      : []),
    ...(tlsAuthClients !== "no" && (tlsCa === undefined || tlsCert === undefined)
      ? conflict(
          "tls-auth-clients",
          `${says} needs ${tlsCert === undefined ? "tls-cert" : "tls-ca"}`,
          "write tls-cert FILE and tls-key FILE, the router's certificate, and tls-ca FILE, the authority of the clients' certificates",
        )
      : []),
  ];
}
