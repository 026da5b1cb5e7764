// write-conf.ts: an imported cluster as a twine.conf. Pure.
import type { DataNode, HashSetting } from "../../core/cluster.ts";
import { printHash } from "../../core/conf/hash-setting.ts";
import { printWord } from "../../core/conf/lines.ts";
import { printNode } from "../../core/conf/print.ts";
import { TwineError } from "../../core/errors.ts";
import { addressText, type ImportedCluster, type ImportedNode } from "./imported.ts";

export interface ConfOptions {
  /** Of the function that places the keys. */
  readonly hash: HashSetting;
  /** Added to every port: new nodes beside the old ones. */
  readonly portOffset: number;
  /** Old host -> new host. */
  readonly hosts: ReadonlyMap<string, string>;
}

/** The text of the file. Throws PORT_TOO_HIGH. */
export function confOf(cluster: ImportedCluster, options: ConfOptions): string {
  const nodes = dataNodesOf(cluster, options);
  const isNew = options.portOffset > 0 || options.hosts.size > 0;
  const router = cluster.listen === undefined ? [] : [routerLine(cluster.listen, options)];
  const { hash } = options;
  const words = hash.kind === "builtin" ? printHash(hash).split(" ") : [printHash(hash)];
  return [
    `# Written by twine-import from ${SOURCES[cluster.from]}: every key stays in its place.`,
    ...(isNew
      ? ["# Its nodes are new ones beside the old ones: docs/migrate.md says how to move."]
      : []),
    "",
    `cluster ${clusterName(cluster.name)}`,
    `partitions ${cluster.shards.length}`,
    `hash ${words.map(printWord).join(" ")}`,
    ...(cluster.hashTag === undefined ? [] : [`hash-tag ${printWord(cluster.hashTag)}`]),
    "",
    ...cluster.shards.flatMap((shard, partition) => [
      `# partition ${partition}: ${shard.name}, whose master was ${addressText(shard.master)}`,
      ...nodes.filter((node) => node.partition === partition).map(printNode),
    ]),
    ...(router.length === 0 ? [] : ["", ...router]),
    ...(isNew
      ? [
          "",
          "# While a Sentinel knows these nodes it must not promote them; remove this line afterwards.",
          "redis replica-priority 0",
        ]
      : []),
    "",
  ].join("\n");
}

const SOURCES = {
  nutcracker: "nutcracker.yml",
  sentinel: "Sentinel",
  cluster: "redis-cli cluster nodes",
} as const;

function dataNodesOf(cluster: ImportedCluster, options: ConfOptions): DataNode[] {
  const at = { file: "twine.conf", line: 1, column: 1 };
  return cluster.shards.flatMap(({ master, replicas, db }, partition) =>
    [master, ...replicas].map((node, index) => ({
      kind: "data" as const,
      name: `p${partition}${nodeLetters(index)}`,
      partition,
      ...moved(node, options),
      db,
      at,
    })),
  );
}

function routerLine(listen: ImportedNode, options: ConfOptions): string {
  const everywhere = listen.host === "0.0.0.0" || listen.host === "::";
  const { host, port } = moved(everywhere ? { ...listen, host: "localhost" } : listen, options);
  return `r1=router ${host} ${port}`;
}

function moved({ host, port }: ImportedNode, { portOffset, hosts }: ConfOptions): ImportedNode {
  const next = port + portOffset;
  if (next <= 65_535) return { host: hosts.get(host) ?? host, port: next };
  throw new TwineError({
    code: "PORT_TOO_HIGH",
    message: `port ${port} and --port-offset ${portOffset} are ${next}, above 65535`,
    remedy: "give a smaller offset, or another host for the new nodes: --host OLD=NEW",
  });
}

/** a, b, ... z, aa, ab ... */
function nodeLetters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : `${nodeLetters(Math.floor(index / 26) - 1)}${last}`;
}

function clusterName(name: string): string {
  const fit = name.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 100);
  return /^\.*$/.test(fit) ? "twine" : fit;
}
