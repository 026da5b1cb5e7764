// container-files.ts: the files of a service in /etc/twine when it runs in a container, besides its redis.conf. Pure.
//
//   data, status     entrypoint.sh health.sh        and with a password: secret-health, secret-replica (data)
//   data             status-nodes                   where it requests a handover: one line each, "ADDRESS PORT DB"
//   monitor, router  twine.conf                     and with a password: password
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
        script(config, node, "entrypoint.sh", bind, hasPassword),
        script(config, node, "health.sh", bind, hasPassword),
        ...(node.kind === "data" ? [statusNodesFile(config, node)] : []),
        ...(hasPassword ? [secretFile(node, "secret-health", "health")] : []),
        ...(hasPassword && node.kind === "data"
          ? [secretFile(node, "secret-replica", "replica")]
          : []),
      ];
    case "monitor":
    case "router":
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

function script(
  config: ClusterConfig,
  node: Extract<ClusterNode, { kind: "data" | "status" }>,
  name: "entrypoint.sh" | "health.sh",
  bind: readonly string[],
  hasPassword: boolean,
): PlannedFile {
  // Only in a pod does a service listen on all addresses.
  const isInPod = bind[0] === "0.0.0.0";
  return {
    path: `${node.name}/${name}`,
    purpose: "generated",
    template: name === "health.sh" ? "container-health.sh.hbs" : "container-entrypoint.sh.hbs",
    values: {
      cluster: config.settings.cluster,
      node: node.name,
      isData: node.kind === "data",
      files: CONTAINER_PATHS.files,
      data: CONTAINER_PATHS.data,
      // 0.0.0.0 can't be asked; then its own loopback address is used.
      address: bind[0] === undefined || isInPod ? "127.0.0.1" : bind[0],
      isInPod,
      port: node.port,
      hasPassword,
      ...(node.kind === "data" ? dataValues(config, node, name) : {}),
    },
    secrets: NO_SECRETS,
    mode: 0o755,
  };
}

/** Each script contains only its own values: the entrypoint can't be changed while it runs. */
function dataValues(
  config: ClusterConfig,
  node: DataNode,
  name: "entrypoint.sh" | "health.sh",
): Record<string, unknown> {
  if (name === "entrypoint.sh") {
    const requestKey = registerKeys(config.settings.cluster).request;
    return { requestKey, handoverWithinS: HANDOVER_WITHIN_S };
  }
  const peers = nodesOf(config, "data").filter(
    (other) => other.partition === node.partition && other.name !== node.name,
  );
  return {
    announceAddress: addressOf(node.host),
    peers: peers.map((peer) => ({ address: addressOf(peer.host), port: peer.port })),
  };
}

function statusNodesFile(config: ClusterConfig, node: ClusterNode): PlannedFile {
  const lines = nodesOf(config, "status").map(
    ({ host, port, db }) => `${addressOf(host)} ${port} ${db}\n`,
  );
  return {
    path: `${node.name}/status-nodes`,
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
