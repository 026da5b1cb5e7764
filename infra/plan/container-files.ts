// container-files.ts: the files of a service in /etc/twine when it runs in a container, besides its redis.conf. Pure.
//
//   data, status     entrypoint.sh health.sh        and with a password: secret-health, secret-replica (data)
//   data             status-nodes                   where it requests a handover: one line each, "ADDRESS PORT DB"
//   monitor, router  twine.conf                     and with a password: password
//   Sentinel         entrypoint.sh health.sh        instead
//
// With `failover sentinel` a data node asks Sentinel for its role and for a failover, not the status nodes: it has
// `sentinels`, one line each, "ADDRESS PORT", and with a password secret-sentinel.
//
//   router           the files of twine.conf        user-files.ts
//
// The entrypoint writes the volume's stamp, because the volume can be read only inside the container.
import {
  addressOf,
  nodesOf,
  type ClusterConfig,
  type ClusterNode,
  type DataNode,
} from "../../runtime/core/cluster.ts";
import { printConf } from "../../runtime/core/conf/print.ts";
import type { RedisUser } from "../../runtime/core/credentials.ts";
import { registerKeys } from "../../runtime/core/register-keys.ts";
import { masterName, sentinelsOf } from "../../runtime/core/sentinel-nodes.ts";
import type { PlannedFile, PlannedSecret } from "./plan.ts";

/** The paths in a container: its files, and the data of a redis-server or the rescued data of a monitor. */
export const CONTAINER_PATHS = Object.freeze({ files: "/etc/twine", data: "/data" });

/** The time limits of a stop, seconds: first for the alpha's answer to a handover, then for Redis's own end. */
export const HANDOVER_WITHIN_S = 15;

const NO_SECRETS: Readonly<Record<string, PlannedSecret>> = {};

/** The files of one service. `bind`: the addresses where it listens; the first one is used for checks. */
export function containerFiles(
  config: ClusterConfig,
  node: ClusterNode,
  bind: readonly string[],
  hasPassword: boolean,
): PlannedFile[] {
  switch (node.kind) {
    case "data":
    case "status":
      return [
        ...scripts(config, node, bind, hasPassword),
        ...(node.kind === "data" ? [askedForRoles(config, node)] : []),
        ...(hasPassword ? [secretFile(node, "secret-health", "health")] : []),
        ...(hasPassword && node.kind === "data"
          ? [secretFile(node, "secret-replica", "replica")]
          : []),
        ...(hasPassword && node.kind === "data" && isSentinel(config)
          ? [secretFile(node, "secret-sentinel", "app")]
          : []),
      ];
    case "monitor":
    case "router":
      if (node.kind === "monitor" && isSentinel(config)) {
        return scripts(config, node, bind, hasPassword);
      }
      return [
        {
          path: `${node.name}/twine.conf`,
          purpose: "generated",
          template: "text.hbs",
          values: { text: printConf(config) },
          secrets: NO_SECRETS,
          mode: 0o644,
        },
        ...(hasPassword ? [secretFile(node, "password", "app", "lines")] : []),
      ];
    default:
      return node satisfies never;
  }
}

function isSentinel({ settings }: ClusterConfig): boolean {
  return settings.failover === "sentinel";
}

type ScriptName = "entrypoint.sh" | "health.sh";

function scripts(
  config: ClusterConfig,
  node: ClusterNode,
  bind: readonly string[],
  hasPassword: boolean,
): PlannedFile[] {
  const names: readonly ScriptName[] = ["entrypoint.sh", "health.sh"];
  return names.map((name) => script(config, node, name, bind, hasPassword));
}

function script(
  config: ClusterConfig,
  node: ClusterNode,
  name: ScriptName,
  bind: readonly string[],
  hasPassword: boolean,
): PlannedFile {
  // Only in a pod does a service listen on all addresses.
  const isInPod = bind[0] === "0.0.0.0";
  return {
    path: `${node.name}/${name}`,
    purpose: "generated",
    template: name === "health.sh" ? "container-health.sh.hbs" : entrypointOf(node),
    values: {
      cluster: config.settings.cluster,
      node: node.name,
      isData: node.kind === "data",
      // The script of a Sentinel, and that of a data node whose role Sentinel decides.
      isSentinel: node.kind === "monitor",
      bySentinel: node.kind === "data" && isSentinel(config),
      files: CONTAINER_PATHS.files,
      data: CONTAINER_PATHS.data,
      // 0.0.0.0 can't be asked; then its own loopback address is used.
      address: bind[0] === undefined || isInPod ? "127.0.0.1" : bind[0],
      isInPod,
      port: node.port,
      hasPassword,
      ...(node.kind === "data" ? dataValues(config, node, name) : {}),
      ...(node.kind === "monitor" ? { masters: partitionNames(config) } : {}),
    },
    secrets: NO_SECRETS,
    mode: 0o755,
  };
}

function partitionNames({ settings }: ClusterConfig): string[] {
  return Array.from({ length: settings.partitions }, (_, partition) => masterName(partition));
}

function entrypointOf({ kind }: ClusterNode): string {
  return kind === "monitor" ? "container-sentinel.sh.hbs" : "container-entrypoint.sh.hbs";
}

/** Twine's monitors give a role within this time; Sentinel needs as long after down-after. */
const ROLE_WITHIN_S = 10;

/** Each script contains only its own values: the entrypoint can't be changed while it runs. */
function dataValues(
  config: ClusterConfig,
  node: DataNode,
  name: ScriptName,
): Record<string, unknown> {
  const { cluster, downAfterMs } = config.settings;
  const peers = nodesOf(config, "data").filter(
    (other) => other.partition === node.partition && other.name !== node.name,
  );
  const roleWithinS = ROLE_WITHIN_S + (isSentinel(config) ? Math.ceil(downAfterMs / 1000) : 0);
  if (name === "entrypoint.sh") {
    const requestKey = registerKeys(cluster).request;
    if (!isSentinel(config)) return { requestKey, handoverWithinS: HANDOVER_WITHIN_S };
    return {
      ...{ handoverWithinS: HANDOVER_WITHIN_S, masterName: masterName(node.partition) },
      ...{ announceAddress: addressOf(node.host), hasPeers: peers.length > 0, roleWithinS },
    };
  }
  return {
    roleWithinS,
    announceAddress: addressOf(node.host),
    peers: peers.map((peer) => ({ address: addressOf(peer.host), port: peer.port })),
  };
}

/** Whom a data node asks for a handover: the alpha through the status nodes, or Sentinel. */
function askedForRoles(config: ClusterConfig, node: ClusterNode): PlannedFile {
  const lines = isSentinel(config)
    ? sentinelsOf(config).map(({ host, port }) => `${addressOf(host)} ${port}\n`)
    : nodesOf(config, "status").map(({ host, port, db }) => `${addressOf(host)} ${port} ${db}\n`);
  return {
    path: `${node.name}/${isSentinel(config) ? "sentinels" : "status-nodes"}`,
    purpose: "generated",
    template: "text.hbs",
    values: { text: lines.join("") },
    secrets: NO_SECRETS,
    mode: 0o644,
  };
}

function secretFile(
  node: ClusterNode,
  name: string,
  user: RedisUser,
  form: PlannedSecret["form"] = "plain",
): PlannedFile {
  return {
    path: `${node.name}/${name}`,
    purpose: "generated",
    template: "secret.hbs",
    values: {},
    secrets: { secret: { user, form } },
    mode: 0o600,
  };
}
