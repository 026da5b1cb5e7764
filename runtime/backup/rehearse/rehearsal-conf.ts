// rehearsal-conf.ts: the twine.conf of the scratch cluster of a rehearsal: the partitions and the function of the real one, one
// data node each, one status node, one monitor, and nothing that reaches anybody outside. Pure.
import { dirname, isAbsolute, join, resolve } from "node:path/posix";
import {
  nodesOf,
  type ClusterConfig,
  type ClusterNode,
  type Settings,
} from "../../core/cluster.ts";
import { printConf } from "../../core/conf/print.ts";
import { DEFAULT_SETTINGS } from "../../core/conf/directives.ts";

/** All on one address; twine-env gives it one that nobody else uses. */
const HOST = "rehearsal";

/** How many ports it needs: one per node. */
export function rehearsalPorts({ settings }: Pick<ClusterConfig, "settings">): number {
  return settings.partitions + 2;
}

/** Its text. `ports` are free. */
export function rehearsalConf(config: ClusterConfig, ports: readonly number[]): string {
  const { cluster, partitions, hash } = config.settings;
  const hashing: Pick<Settings, "cluster" | "partitions" | "hash" | "redis"> = {
    cluster,
    partitions,
    hash: hash.kind === "builtin" ? hash : { ...hash, path: pathOf(hash.path, config.file) },
    redis: redisOf(config),
  };
  const { hashTag } = config.settings;
  return printConf({
    file: config.file,
    nodes: nodesIn(config, ports),
    settings: { ...DEFAULT_SETTINGS, ...hashing, ...(hashTag === undefined ? {} : { hashTag }) },
  });
}

function pathOf(path: string, file: string): string {
  return isAbsolute(path) ? path : join(dirname(resolve(file)), path);
}

function nodesIn(config: ClusterConfig, ports: readonly number[]): ClusterNode[] {
  const { partitions } = config.settings;
  const data = nodesOf(config, "data");
  const place = (index: number) => ({
    host: HOST,
    port: ports[index] ?? 0,
    at: { file: config.file, line: 1, column: 1 },
  });
  return [
    ...Array.from({ length: partitions }, (_, partition): ClusterNode => {
      const db = data.find((node) => node.partition === partition)?.db ?? 0;
      return { kind: "data", name: `data${partition}`, partition, db, ...place(partition) };
    }),
    { kind: "status", name: "status", db: 0, ...place(partitions) },
    { kind: "monitor", name: "monitor", ...place(partitions + 1) },
  ];
}

/** Nothing is saved, for nothing is kept. Each node's RDB is read once, so it waits for no other reader. */
function redisOf({ file }: ClusterConfig): Settings["redis"] {
  const at = { file, line: 1, column: 1 };
  return [
    { name: "save", value: '""', at },
    { name: "appendonly", value: "no", at },
    { name: "repl-diskless-sync-delay", value: "0", at },
  ];
}
