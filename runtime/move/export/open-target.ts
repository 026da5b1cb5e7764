// open-target.ts: where a cluster's data is exported to: one Redis, or the masters of a Redis Cluster with their slots.
import { addressOf } from "../../core/cluster.ts";
import { TwineError } from "../../core/errors.ts";
import { builtinPlace } from "../../core/routing.ts";
import type { Clock } from "../../ports/clock.ts";
import { infoOf } from "../../replication/node-info.ts";
import { openNodeSocket } from "../../replication/node-socket.ts";
import { askCluster } from "../import/ask-cluster.ts";
import { addressText, type ImportedNode } from "../import/imported.ts";
import { openNodeTarget, type MoveTarget } from "../target.ts";

export interface ExportTarget {
  readonly targets: readonly MoveTarget[];
  /** Index into the targets. */
  readonly partitionOf: (key: Buffer) => number;
  close(): void;
}

export interface TargetPorts {
  /** Of Redis's user default. */
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const SILENCE_MS_MAX = 60_000;

/** Throws NodeError, EXPORT_TARGET_BAD when a server of the target is no master or holds keys. */
export async function openExportTarget(
  place: { readonly isCluster: boolean; readonly address: ImportedNode },
  ports: TargetPorts,
): Promise<ExportTarget> {
  const { masters, partitionOf } = place.isCluster
    ? await shardsOf(place.address, ports)
    : { masters: [place.address], partitionOf: () => 0 };
  const targets: MoveTarget[] = [];
  const close = (): void => {
    for (const target of targets) target.close();
  };
  try {
    const problems = (
      await Promise.all(masters.map((node) => problemOf(node, place.isCluster, ports)))
    ).flat();
    if (problems.length > 0) throw new TwineError(problems);
    for (const node of masters) targets.push(await openNodeTarget(...access(node, ports)));
    return { targets, partitionOf, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function shardsOf(address: ImportedNode, ports: TargetPorts) {
  const { shards, distribution } = await askCluster(address, ports);
  const hashing = {
    hash: "crc16",
    partitions: shards.length,
    hashTag: "{}",
    distribution,
  } as const;
  return { masters: shards.map(({ master }) => master), partitionOf: builtinPlace(hashing) };
}

function access({ host, port }: ImportedNode, { password, ...ports }: TargetPorts) {
  const credentials = password === undefined ? undefined : { username: "default", password };
  return [
    { host: addressOf(host), port },
    { ...ports, credentials, silenceMsMax: SILENCE_MS_MAX },
  ] as const;
}

async function problemOf(node: ImportedNode, isCluster: boolean, ports: TargetPorts) {
  const socket = await openNodeSocket(...access(node, ports));
  try {
    const fields = await infoOf(socket);
    const problem = (why: string, remedy: string) => [
      { code: "EXPORT_TARGET_BAD", message: `${addressText(node)} ${why}`, remedy },
    ];
    if (fields.get("role") !== "master") {
      return problem("is a replica", "name a master, or a node of the Redis Cluster by cluster://");
    }
    if (!isCluster && fields.get("cluster_enabled") === "1") {
      return problem(
        "is a node of a Redis Cluster",
        `nothing was changed; write cluster://${addressText(node)}`,
      );
    }
    const keys = [...fields].filter(([name]) => /^db\d+$/.test(name)).map(([, text]) => text);
    if (keys.length === 0) return [];
    return problem(
      `holds keys already (${keys.join("; ")})`,
      "nothing was changed; empty it (FLUSHALL), or name an empty one",
    );
  } finally {
    socket.destroy();
  }
}
