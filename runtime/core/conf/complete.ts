// complete.ts: gives a cluster whose file names no status nodes or no monitors what it can't run
// without. Pure.
//
//   three hosts or more: one of each kind on the first three, so that any one host may be lost
//   one or two hosts:    one of each kind on the first, because two bear no loss either
//
// "First" hosts are those of the natural order, as everywhere: the order of lines means nothing.
import type { ClusterConfig, ClusterNode } from "../cluster.ts";
import { TwineError, type Problem } from "../errors.ts";
import { compareNames } from "../natural-order.ts";
import { printNode } from "./print.ts";
import { hostKey, portsOf } from "./relations.ts";

const ADDED = Object.freeze({
  status: { port: 6399, letter: "s", noun: "status node", code: "CONF_STATUS_ADDED" },
  monitor: { port: 7600, letter: "m", noun: "monitor", code: "CONF_MONITORS_ADDED" },
});

/**
 * The config with status nodes and monitors, and a warning for each kind that had to be added; the
 * same config when none had. A name or port that is taken gives way to the next free one, and the
 * warning says so.
 * Throws CONF_NO_FREE_PORT when a host has none left.
 */
export function completeConfig(config: ClusterConfig): {
  config: ClusterConfig;
  warnings: readonly Problem[];
} {
  const warnings: Problem[] = [];
  let completed = config;
  for (const kind of ["status", "monitor"] as const) {
    if (config.nodes.some((node) => node.kind === kind)) continue;
    const nodes = nodesToAdd(completed, kind);
    completed = { ...completed, nodes: [...completed.nodes, ...nodes] };
    warnings.push(warningOf(kind, nodes));
  }
  return { config: completed, warnings };
}

function nodesToAdd(config: ClusterConfig, kind: "status" | "monitor"): ClusterNode[] {
  const hosts = new Map<string, ClusterNode>();
  // localhost and 127.0.0.1 are one host; of its nodes the first stands for it.
  for (const node of config.nodes.toSorted((a, b) => compareNames(a.name, b.name))) {
    const key = hostKey(node.host);
    if (!hosts.has(key)) hosts.set(key, node);
  }
  const first = [...hosts.values()].sort((a, b) => compareNames(a.host, b.host));
  const names = new Set(config.nodes.map((node) => node.name));
  return first.slice(0, first.length >= 3 ? 3 : 1).map((neighbour) => {
    const name = freeName(names, ADDED[kind].letter);
    names.add(name);
    const port = freePort(config, neighbour, kind);
    const base = { name, host: neighbour.host, port, at: neighbour.at };
    return kind === "status" ? { kind, ...base, db: 0 } : { kind, ...base };
  });
}

function freeName(taken: ReadonlySet<string>, letter: string): string {
  let number = 1;
  while (taken.has(`${letter}${number}`)) number++;
  return `${letter}${number}`;
}

function freePort(
  config: ClusterConfig,
  neighbour: ClusterNode,
  kind: "status" | "monitor",
): number {
  const nodes = config.nodes.filter((node) => hostKey(node.host) === hostKey(neighbour.host));
  const taken = new Set(nodes.flatMap(portsOf));
  let { port } = ADDED[kind];
  while (taken.has(port)) port++;
  if (port <= 65_535) return port;
  throw new TwineError({
    code: "CONF_NO_FREE_PORT",
    message: `on ${neighbour.host} no port from ${ADDED[kind].port} up is free for a ${kind} node`,
    at: neighbour.at,
    remedy: `add ${kind} lines of your own`,
  });
}

function warningOf(kind: "status" | "monitor", nodes: readonly ClusterNode[]): Problem {
  const { noun, port, code } = ADDED[kind];
  const moved = nodes.filter((node) => node.port !== port);
  const why =
    moved.length === 0
      ? ""
      : ` (port ${port} is taken on ${moved.map((node) => node.host).join(", ")})`;
  const lines = nodes.map((node) => `'${printNode(node)}'`).join(", ");
  return {
    code,
    message: `there is no ${noun}, so Twine adds ${lines}${why}`,
    remedy: `write ${nodes.length === 1 ? "this line" : "these lines"} into the file to keep them`,
  };
}
