// print.ts: prints a config as a twine.conf that parses to the same config. Pure.
// Every setting is printed, defaults too, so the file keeps its meaning when a default changes.
import type { ClusterConfig, ClusterNode } from "../cluster.ts";
import { DIRECTIVES } from "./directives.ts";

/** The whole file, nodes first, with a final newline. Keeps the order of nodes and of repeated settings. */
export function printConf(config: ClusterConfig): string {
  const settings = DIRECTIVES.flatMap((directive) =>
    directive.print(config.settings).map((args) => `${directive.name} ${args}`),
  );
  return `${[...config.nodes.map(printNode), "", ...settings].join("\n")}\n`;
}

/** One node's line. */
export function printNode(node: ClusterNode): string {
  const place = `${node.host} ${node.port}`;
  switch (node.kind) {
    case "data":
      return `${node.name}=data ${node.partition} ${place} ${node.db}`;
    case "status":
      return `${node.name}=status ${place} ${node.db}`;
    case "monitor": {
      const sentinel = node.sentinelPort === undefined ? "" : ` ${node.sentinelPort}`;
      return `${node.name}=monitor ${place}${sentinel}`;
    }
    case "router": {
      const stats = node.statsPort === undefined ? "" : ` ${node.statsPort}`;
      return `${node.name}=router ${place}${stats}`;
    }
  }
}
