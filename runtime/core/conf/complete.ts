// complete.ts: adds status nodes or monitors to a cluster whose file has none, because it can't run without them. Pure.
//
//   three hosts or more: one of each kind on the first three, so that any one host may fail
//   one or two hosts:    one of each kind on the first, because two can't survive a failure either
//
// "First" is by the natural order of names, as everywhere; the order of lines does not matter.
import { nodesOf, type ClusterConfig, type ClusterNode } from "../cluster.ts";
import { TwineError, type Problem } from "../errors.ts";
import { compareNames } from "../natural-order.ts";
import { printNode } from "./print.ts";
import { hostKey, portsOf } from "./relations.ts";

/** twemproxy's default: it always serves statistics on some port. */
const STATS_PORT = 22_222;

const ADDED = Object.freeze({
  status: { port: 6399, letter: "s", noun: "status node", code: "CONF_STATUS_ADDED" },
  monitor: { port: 7600, letter: "m", noun: "monitor", code: "CONF_MONITORS_ADDED" },
});
type Added = Omit<(typeof ADDED)["status" | "monitor"], "port"> & { readonly port: number };

function addedOf(config: ClusterConfig, kind: "status" | "monitor"): Added {
  const isSentinel = kind === "monitor" && config.settings.failover === "sentinel";
  return isSentinel ? { ...ADDED.monitor, port: 26_379, noun: "Sentinel" } : ADDED[kind];
}

/**
 * The config with status nodes and monitors, and a warning for each kind that was added. The same config if nothing was
 * missing. If a name or port is taken, the next free one is used, and the warning shows it. Throws CONF_NO_FREE_PORT if a
 * host has no free port.
 */
export function completeConfig(config: ClusterConfig): {
  config: ClusterConfig;
  warnings: readonly Problem[];
} {
  const warnings: Problem[] = [];
  let completed = config;
  for (const kind of ["status", "monitor"] as const) {
    if (config.nodes.some((node) => node.kind === kind)) continue;
    if (kind === "status" && config.settings.failover === "sentinel") continue;
    const nodes = nodesToAdd(completed, kind);
    completed = { ...completed, nodes: [...completed.nodes, ...nodes] };
    warnings.push(warningOf(addedOf(config, kind), nodes));
  }
  return { config: withStatsPorts(completed), warnings };
}

/** twemproxy's statistics can't be turned off, so each router gets a port for them. */
function withStatsPorts(config: ClusterConfig): ClusterConfig {
  if (config.settings.router !== "twemproxy") return config;
  let completed = config;
  for (const router of nodesOf(config, "router")) {
    if (router.statsPort !== undefined) continue;
    const statsPort = freePort(completed, router, STATS_PORT, "statistics");
    const nodes = completed.nodes.map((node) =>
      node.name === router.name ? { ...router, statsPort } : node,
    );
    completed = { ...completed, nodes };
  }
  return completed;
}

function nodesToAdd(config: ClusterConfig, kind: "status" | "monitor"): ClusterNode[] {
  const hosts = new Map<string, ClusterNode>();
  // localhost and 127.0.0.1 are one host; its first node represents it.
  for (const node of config.nodes.toSorted((a, b) => compareNames(a.name, b.name))) {
    const key = hostKey(node.host);
    if (!hosts.has(key)) hosts.set(key, node);
  }
  const first = [...hosts.values()].sort((a, b) => compareNames(a.host, b.host));
  const names = new Set(config.nodes.map((node) => node.name));
  return first.slice(0, first.length >= 3 ? 3 : 1).map((neighbour) => {
    const added = addedOf(config, kind);
    const name = freeName(names, added.letter);
    names.add(name);
    const port = freePort(config, neighbour, added.port, `a ${kind} node`);
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
  from: number,
  what: string,
): number {
  const nodes = config.nodes.filter((node) => hostKey(node.host) === hostKey(neighbour.host));
  const taken = new Set(nodes.flatMap(portsOf));
  let port = from;
  while (taken.has(port)) port++;
  if (port <= 65_535) return port;
  throw new TwineError({
    code: "CONF_NO_FREE_PORT",
    message: `on ${neighbour.host} no port from ${from} up is free for ${what}`,
    at: neighbour.at,
    remedy: `add lines of your own, with the port for ${what}`,
  });
}

function warningOf({ noun, port, code }: Added, nodes: readonly ClusterNode[]): Problem {
  const moved = nodes.filter((node) => node.port !== port);
  const why =
    moved.length === 0
      ? ""
      : ` (port ${port} is taken on ${moved.map((node) => node.host).join(", ")})`;
  const lines = nodes.map((node) => `'${printNode(node)}'`).join(", ");
  return {
    code,
    message: `there is no ${noun}, so Twine adds ${lines}${why}`,
    remedy: `write ${nodes.length === 1 ? "this line" : "these lines"} into the file to keep ${nodes.length === 1 ? "it" : "them"}`,
  };
}
