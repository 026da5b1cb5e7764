// stack-files.ts: the files of `router twemproxy` and `failover sentinel`: nutcracker.yml, sentinel.conf, and the initial
// roles of data nodes. Pure.
//
//   before any failover: the first node of each partition is master, the others are its replicas. After a failover the
//   processes write the roles into these files themselves (purpose "rewritten").
import {
  addressOf,
  majorityOf,
  nodesOf,
  type ClusterConfig,
  type ClusterNode,
  type DataNode,
  type MonitorNode,
  type RouterNode,
} from "../../runtime/core/cluster.ts";
import { assert } from "../../runtime/core/errors.ts";
import { masterName } from "../../runtime/core/sentinel-nodes.ts";
import { twemproxyPool, type TwemproxyPool } from "../../runtime/core/twemproxy-pool.ts";
import { CONTAINER_PATHS } from "./container-files.ts";
import type { PlanOptions, PlannedFile, PlannedSecret } from "./plan.ts";

/**
 * After a failed failover Sentinel waits twice this time before it tries again; with its default of 3 minutes that would be
 * 6. Failovers fail often: Sentinel promotes no replica that it has not asked within 5 s, and asks every 10 s while all is
 * well.
 */
const FAILOVER_TIMEOUT_MS = 3_000;
/** The time that twemproxy waits for a node's reply; without a limit a silent node blocks its clients forever. */
const TWEMPROXY_TIMEOUT_MS = 5_000;

/** The files of a Sentinel or a twemproxy; none for Twine's own monitors and routers. */
export function stackFiles(
  config: ClusterConfig,
  node: MonitorNode | RouterNode,
  bind: readonly string[],
  options: PlanOptions,
): PlannedFile[] {
  const { router, failover } = config.settings;
  if (node.kind === "monitor") {
    return failover === "sentinel"
      ? [sentinelConf(config, node, bind, options), ...notifyScripts(config, node, options)]
      : [];
  }
  return router === "twemproxy" ? [nutcrackerConf(config, node, bind, options)] : [];
}

/** The directives about roles in a data node's redis.conf. */
export function firstRoles(config: ClusterConfig, node: DataNode): Record<string, unknown> {
  const isSentinel = config.settings.failover === "sentinel";
  const first = firstMasters(config)[node.partition];
  const isFirst = first === undefined || first.name === node.name;
  const master = { address: addressOf(first?.host ?? ""), port: first?.port ?? 0 };
  return { isSentinel, masters: isFirst || !isSentinel ? [] : [master] };
}

/** By partition: the initial master. */
export function firstMasters(config: ClusterConfig): DataNode[] {
  const data = nodesOf(config, "data");
  return Array.from({ length: config.settings.partitions }, (_, partition) =>
    data.find((node) => node.partition === partition),
  ).filter((node) => node !== undefined);
}

function sentinelConf(
  config: ClusterConfig,
  node: MonitorNode,
  bind: readonly string[],
  options: PlanOptions,
): PlannedFile {
  const { cluster, downAfterMs } = config.settings;
  const isInContainer = (options.placement ?? "folders") !== "folders";
  const script = notifyPath(config, node, options);
  return {
    path: `${node.name}/sentinel.conf`,
    purpose: "rewritten",
    template: "sentinel.conf.hbs",
    values: {
      ...{ cluster, node: node.name, port: node.port, bind, isInContainer },
      dir: isInContainer ? CONTAINER_PATHS.data : "./",
      hasPassword: options.hasPassword,
      protectedMode: options.placement === "pods" && !options.hasPassword ? "no" : "yes",
      announceAddress: addressOf(node.host),
      hasHostNames: config.nodes.some(({ host }) => !isAddress(addressOf(host))),
      quorum: majorityOf(nodesOf(config, "monitor").length),
      ...{ downAfterMs, failoverTimeoutMs: FAILOVER_TIMEOUT_MS },
      scripts: script === undefined ? [] : [script],
      masters: firstMasters(config).map(({ partition, host, port }) => ({
        ...{ name: masterName(partition), address: addressOf(host), port },
        // Sentinel would learn them from the master within ten seconds, and a master may fail earlier.
        replicas: replicasOf(config, partition),
      })),
    },
    secrets: options.hasPassword ? SENTINEL_SECRETS : {},
    mode: options.hasPassword ? 0o600 : 0o644,
  };
}

const SENTINEL_SECRETS: Readonly<Record<string, PlannedSecret>> = {
  app: { user: "app", form: "plain" },
  users: { user: "app", form: "sha256" },
  monitor: { user: "monitor", form: "plain" },
};

function replicasOf(config: ClusterConfig, partition: number): Record<string, unknown>[] {
  const [, ...others] = nodesOf(config, "data").filter((node) => node.partition === partition);
  return others.map(({ host, port }) => ({ address: addressOf(host), port }));
}

function isAddress(text: string): boolean {
  return /^[\d.]+$|:/.test(text);
}

/** The path of the script that Sentinel runs after a failover; undefined: the twemproxies ask Sentinel themselves. In a
    container, two services can't share a file. */
function notifyPath(
  config: ClusterConfig,
  node: MonitorNode,
  { installation }: PlanOptions,
): string | undefined {
  if (config.settings.twemproxyStaging === undefined || installation === undefined)
    return undefined;
  if (routerBeside(config, node) === undefined) return undefined;
  return `${installation.folder}/partitions/${node.host}/${node.name}/notify.sh`;
}

/** The router on the Sentinel's host whose nutcracker.yml has the settings. */
function routerBeside(config: ClusterConfig, { host }: MonitorNode): RouterNode | undefined {
  return nodesOf(config, "router").find((router) => router.host === host);
}

function notifyScripts(
  config: ClusterConfig,
  node: MonitorNode,
  options: PlanOptions,
): PlannedFile[] {
  const { installation, confPath } = options;
  const router = routerBeside(config, node);
  const path = notifyPath(config, node, options);
  if (installation === undefined || router === undefined || path === undefined) return [];
  const file = `${installation.folder}/partitions/${node.host}/${router.name}/nutcracker.yml`;
  const { node: program, tool, env } = installation;
  return [
    {
      path: `${node.name}/notify.sh`,
      purpose: "generated",
      template: "notify.sh.hbs",
      values: {
        cluster: config.settings.cluster,
        env: Object.entries(env).map(([name, value]) => ({ name, value })),
        words: [
          ...[program, tool("twine-twemproxy"), router.name, "--notify"],
          ...["--file", file, "--conf", confPath],
        ],
      },
      secrets: {},
      mode: 0o755,
    },
  ];
}

function nutcrackerConf(
  config: ClusterConfig,
  node: RouterNode,
  bind: readonly string[],
  options: PlanOptions,
): PlannedFile {
  const { cluster, hash, hashTag, partitions } = config.settings;
  const pool = twemproxyPool(hash, partitions);
  assert(pool !== undefined, "a twine.conf with router twemproxy has one of its hashes");
  return {
    path: `${node.name}/nutcracker.yml`,
    purpose: "rewritten",
    template: "nutcracker.yml.hbs",
    values: {
      ...{ cluster, node: node.name, hash: pool.hash, hashTag: hashTag ?? "" },
      distribution: pool.distribution,
      hasHashTag: hashTag !== undefined,
      listen: `${bind[0] ?? "127.0.0.1"}:${node.port}`,
      timeoutMs: TWEMPROXY_TIMEOUT_MS,
      hasPassword: options.hasPassword,
      servers: firstMasters(config).map(({ partition, host, port }) => ({
        text: serverText(addressOf(host), port, pool.servers[partition]),
      })),
    },
    secrets: options.hasPassword ? { app: { user: "app", form: "plain" } } : {},
    mode: options.hasPassword ? 0o600 : 0o644,
  };
}

function serverText(
  address: string,
  port: number,
  server: TwemproxyPool["servers"][number] | undefined,
): string {
  return `${address}:${port}:${server?.weight ?? 1} ${server?.name ?? ""}`;
}

/** The program of a node, twemproxy or Sentinel; for texts about a plan. */
export function programOf(config: ClusterConfig, node: ClusterNode): string {
  if (node.kind === "monitor" && config.settings.failover === "sentinel") return "redis-sentinel";
  if (node.kind === "router" && config.settings.router === "twemproxy") return "twemproxy";
  return node.kind === "monitor"
    ? "twined"
    : node.kind === "router"
      ? "twine-router"
      : "redis-server";
}
