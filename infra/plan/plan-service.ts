// plan-service.ts: one node of twine.conf as a process: what runs, where, on which ports, in which order. Pure.
import {
  runsRedis,
  type ClusterNode,
  type NodeKind,
  type Settings,
} from "../../runtime/core/cluster.ts";
import { CONTAINER_PATHS } from "./container-files.ts";
import { givenFiles } from "./given-files.ts";
import type { HealthCheck, PlanOptions, PlannedPort, PlannedService } from "./plan.ts";

/** Status nodes come first, because everything reads the view from them; routers last, because they need it. */
const ORDER: Readonly<Record<NodeKind, number>> = { status: 0, data: 1, monitor: 2, router: 3 };

/** A data node may have to write its RDB before it ends; 10 s is also how long it waits for a slow replica. */
const GRACE_MS: Readonly<Record<NodeKind, number>> = {
  status: 10_000,
  data: 20_000,
  monitor: 5_000,
  // After drain-for, which is added.
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
  const isInFolder = (options.placement ?? "folders") === "folders";
  const given = node.kind !== "router" || isInFolder ? [] : givenFiles(settings);
  return {
    name: node.name,
    kind: node.kind,
    command: commandOf(node, options),
    folder: node.name,
    ...(isRedis || (node.kind === "monitor" && !isInFolder) ? { dataFolder: "data" } : {}),
    logFile: isRedis ? "redis.log" : "log",
    bind,
    ports: portsOf(node),
    health: healthOf(node),
    order: ORDER[node.kind],
    graceMs: GRACE_MS[node.kind] + (node.kind === "router" ? settings.drainForMs : 0),
    ...(given.length === 0 ? {} : { given }),
    ...(after === undefined ? {} : { after }),
  };
}

function commandOf(node: ClusterNode, { confPath, placement = "folders" }: PlanOptions): string[] {
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
