// plan-service.ts: one node of twine.conf as a process: command, folder, ports, order of start. Pure.
import {
  runsRedis,
  type ClusterNode,
  type NodeKind,
  type Settings,
} from "../../runtime/core/cluster.ts";
import { CONTAINER_PATHS } from "./container-files.ts";
import { userFiles, type UserFile, type UserFileDirective } from "./user-files.ts";
import type {
  HealthCheck,
  PlanOptions,
  PlannedPort,
  PlannedService,
  StackProgram,
} from "./plan.ts";

/** Status nodes come first, because all others read the view from them; routers last, because they need the view. */
const ORDER: Readonly<Record<NodeKind, number>> = { status: 0, data: 1, monitor: 2, router: 3 };

/** A data node may have to write its RDB before it ends; Redis also waits up to 10 s for a slow replica. */
const GRACE_MS: Readonly<Record<NodeKind, number>> = {
  status: 10_000,
  data: 20_000,
  monitor: 5_000,
  // In addition to drain-for.
  router: 2_000,
};

export function planService(
  node: ClusterNode,
  bind: readonly string[],
  settings: Settings,
  options: PlanOptions,
  after?: readonly string[],
): PlannedService {
  const isRedis = runsRedis(node.kind);
  const stack = stackProgram(node, settings);
  const isSentinel = stack === "sentinel";
  const isInFolder = (options.placement ?? "folders") === "folders";
  const files = isInFolder || stack !== undefined ? [] : userFilesOf(node.kind, settings);
  return {
    name: node.name,
    kind: node.kind,
    ...(stack === undefined ? {} : { stack }),
    command: isSentinel ? sentinelCommand(options) : commandOf(node, settings, options),
    folder: node.name,
    ...(isRedis || (node.kind === "monitor" && !isInFolder) ? { dataFolder: "data" } : {}),
    logFile: isRedis ? "redis.log" : "log",
    bind: isTwemproxy(node, settings) ? bind.slice(0, 1) : bind,
    ports: isSentinel ? [{ port: node.port, purpose: "sentinel" }] : portsOf(node),
    health: isSentinel ? { kind: "tcp", port: node.port } : healthOf(node),
    order: ORDER[node.kind],
    graceMs: GRACE_MS[node.kind] + drainMs(node, settings),
    ...(files.length === 0 ? {} : { userFiles: files }),
    ...(after === undefined ? {} : { after }),
  };
}

/** The program that a node runs instead of Twine's own; undefined for all others. */
export function stackProgram(node: ClusterNode, settings: Settings): StackProgram | undefined {
  if (node.kind === "monitor" && settings.failover === "sentinel") return "sentinel";
  return node.kind === "router" && settings.router === "twemproxy" ? "twemproxy" : undefined;
}

/** twemproxy listens on one address, and ends in its own way. */
function isTwemproxy(node: ClusterNode, settings: Settings): boolean {
  return stackProgram(node, settings) === "twemproxy";
}

function drainMs(node: ClusterNode, settings: Settings): number {
  return node.kind === "router" && !isTwemproxy(node, settings) ? settings.drainForMs : 0;
}

function sentinelCommand({ placement = "folders" }: PlanOptions): string[] {
  return placement === "folders"
    ? ["redis-server", "sentinel.conf", "--sentinel"]
    : ["/bin/sh", `${CONTAINER_PATHS.files}/entrypoint.sh`];
}

/** Monitors compare the hash with the view's, require the token, and encrypt the backups. Routers read all other files. */
const OF_MONITORS: ReadonlySet<UserFileDirective> = new Set(["hash", "http-token", "backup-key"]);

function userFilesOf(kind: ClusterNode["kind"], settings: Settings): UserFile[] {
  const files = userFiles(settings);
  if (kind === "router") return files.filter(({ directive }) => directive !== "backup-key");
  return kind === "monitor" ? files.filter(({ directive }) => OF_MONITORS.has(directive)) : [];
}

function commandOf(
  node: ClusterNode,
  settings: Settings,
  { confPath, placement = "folders" }: PlanOptions,
): string[] {
  if (isTwemproxy(node, settings)) {
    const files = placement === "folders" ? "." : CONTAINER_PATHS.files;
    const live = placement === "folders" ? "." : CONTAINER_PATHS.data;
    return [
      ...["twine-twemproxy", node.name, "--conf", confPath],
      ...["--file", `${live}/nutcracker.yml`],
      ...(placement === "folders" ? [] : ["--from", `${files}/nutcracker.yml`]),
    ];
  }
  switch (node.kind) {
    case "data":
    case "status":
      return placement === "folders"
        ? ["redis-server", "redis.conf"]
        : ["/bin/sh", `${CONTAINER_PATHS.files}/entrypoint.sh`];
    case "monitor":
      return placement === "folders"
        ? ["twined", node.name, "--conf", confPath]
        : ["twined", node.name, "--conf", confPath, "--dir", CONTAINER_PATHS.data, "--claim"];
    case "router":
      return ["twine-router", node.name, "--conf", confPath];
    default:
      return node satisfies never;
  }
}

function portsOf(node: ClusterNode): PlannedPort[] {
  switch (node.kind) {
    case "data":
    case "status":
      return [{ port: node.port, purpose: "redis" }];
    case "monitor":
      return [
        { port: node.port, purpose: "http" },
        ...(node.sentinelPort === undefined
          ? []
          : [{ port: node.sentinelPort, purpose: "sentinel" } as const]),
      ];
    case "router":
      return [
        { port: node.port, purpose: "router" },
        ...(node.statsPort === undefined
          ? []
          : [{ port: node.statsPort, purpose: "stats" } as const]),
      ];
    default:
      return node satisfies never;
  }
}

function healthOf(node: ClusterNode): HealthCheck {
  switch (node.kind) {
    case "data":
    case "status":
      return { kind: "redis-role", port: node.port };
    case "monitor":
      return { kind: "http", port: node.port, path: "/healthz" };
    case "router":
      return { kind: "tcp", port: node.port };
    default:
      return node satisfies never;
  }
}
