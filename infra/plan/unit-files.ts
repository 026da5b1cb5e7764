// unit-files.ts: the systemd units for one host, with the scripts that they run and the rotation of their logs. Pure.
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Installation, PlannedFile, PlannedService } from "./plan.ts";

/** The name of a node's or a host's unit, without its suffix. */
export function unitName(cluster: string, node: string): string {
  return `twine-${cluster}-${node}`;
}

/** A redis-server may have to save its data before it ends. */
const REDIS_STOP_S = 320;

interface Host {
  readonly cluster: string;
  readonly name: string;
  /** Absolute: partitions/HOST. */
  readonly folder: string;
  readonly services: readonly PlannedService[];
  readonly installation: Installation;
  readonly confPath: string;
  readonly sentinelMs: number | undefined;
}

/** The time in which Sentinel promotes a replica, also when its first attempt fails; undefined: it does not watch. */
export function sentinelTimeMs({ settings }: ClusterConfig): number | undefined {
  return settings.failover === "sentinel" ? settings.downAfterMs + SENTINEL_MS : undefined;
}

const SENTINEL_MS = 10_000;

export function unitFiles(
  config: ClusterConfig,
  name: string,
  services: readonly PlannedService[],
  installation: Installation,
  confPath: string,
): PlannedFile[] {
  const { cluster } = config.settings;
  const folder = `${installation.folder}/partitions/${name}`;
  const sentinelMs = sentinelTimeMs(config);
  const host = { cluster, name, folder, services, installation, confPath, sentinelMs };
  const target = unitName(cluster, name);
  const user = userValues(installation);
  const names = services.map((service) => `${unitName(cluster, service.name)}.service`);
  const logsOf = (isRedis: boolean): string[] =>
    services
      .filter((service) => runsRedis(service) === isRedis)
      .map((service) => `${folder}/${service.folder}/${service.logFile}`);
  return [
    ...services.map((service) =>
      file(
        `${unitName(cluster, service.name)}.service`,
        "systemd-node.service.hbs",
        unitValues(host, service),
      ),
    ),
    file(`${target}.target`, "systemd-host.target.hbs", { cluster, host: name, names, ...user }),
    file(`${target}.logrotate`, "logrotate.hbs", {
      ...{ cluster, host: name, ...user },
      ...{ redisLogs: logsOf(true), otherLogs: logsOf(false) },
    }),
    file("before-start.sh", "before-start.sh.hbs", {}, 0o755),
    file("after-start.sh", "after-start.sh.hbs", {}, 0o755),
  ];
}

function unitValues(host: Host, service: PlannedService): Record<string, unknown> {
  const { cluster, installation } = host;
  const folder = `${host.folder}/${service.folder}`;
  const isRedis = runsRedis(service);
  const [program = "", ...args] = service.command;
  const before = host.services.filter(({ order }) => order < service.order);
  return {
    ...{ cluster, name: service.name, kind: service.kind, isRedis, folder },
    target: unitName(cluster, host.name),
    ...restartValues(host, service),
    after: before.map(({ name }) => `${unitName(cluster, name)}.service`),
    logFile: `${folder}/${service.logFile}`,
    // A private /tmp would hide the folder.
    isInTmp: /^\/(var\/)?tmp\//.test(folder),
    command:
      program === "redis-server"
        ? [installation.redis, ...args, ...(isRedis ? ["--supervised", "systemd"] : [])]
        : [installation.node, installation.tool(program), ...args],
    check: ["/bin/sh", `${host.folder}/systemd/before-start.sh`, folder, cluster],
    started: ["/bin/sh", `${host.folder}/systemd/after-start.sh`, folder],
    conf: [host.confPath],
    handOver: handOverCommand(host, service),
    env: Object.entries(installation.env).map(([key, value]) => `${key}=${value}`),
    ...userValues(installation),
    stopS: isRedis ? REDIS_STOP_S : Math.ceil(service.graceMs / 1000) + 5,
  };
}

function restartValues({ sentinelMs }: Host, { kind }: PlannedService): Record<string, unknown> {
  const isData = kind === "data";
  const isSentinels = isData && sentinelMs !== undefined;
  return { isData, isSentinels, restartS: isSentinels ? Math.ceil(sentinelMs / 1000) : 1 };
}

/** It runs outside the unit's limits, with which Node does not work, and so switches to the unit's user itself. */
function handOverCommand({ installation, confPath }: Host, { name }: PlannedService): string[] {
  const { user, env } = installation;
  return [
    ...(user === undefined || user === "root" ? [] : ["/usr/sbin/runuser", "-u", user, "--"]),
    ...["/usr/bin/env", ...Object.entries(env).map(([key, value]) => `${key}=${value}`)],
    ...[installation.node, installation.tool("twine-stop"), name, "--only-handover"],
    ...["--conf", confPath, "--dir", installation.folder],
  ];
}

function userValues({ user }: Installation): Record<string, unknown> {
  return { user: user ?? "", isSystem: user !== undefined };
}

function runsRedis(service: PlannedService): boolean {
  // A Sentinel is a redis-server without data: no check and no wait are needed.
  return service.kind === "data" || service.kind === "status";
}

function file(
  name: string,
  template: string,
  values: Record<string, unknown>,
  mode = 0o644,
): PlannedFile {
  const path = `systemd/${name}`;
  return { path, purpose: "generated", template, values, secrets: {}, mode };
}
