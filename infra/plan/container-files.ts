// container-files.ts: what a service finds in /etc/twine when it runs in a container, beside its redis.conf. Pure.
//
//   data, status     entrypoint.sh health.sh        and with a password: secret-health, secret-replica (data)
//   monitor, router  twine.conf                     and with a password: password
//   router           what twine.conf names          given-files.ts
//
// The volume's stamp is written by the entrypoint: only inside the container is the volume there to be looked at.
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

/** Where a container finds its files, a redis-server its data and a monitor what it rescued. */
export const CONTAINER_PATHS = Object.freeze({ files: "/etc/twine", data: "/data" });

/** The bounds of a polite stop, seconds: the alpha's answer to a handover, then Redis's own end. */
export const HANDOVER_WITHIN_S = 15;

const NO_SECRETS: Readonly<Record<string, PlannedSecret>> = {};

/** The files of one service; `bind` is where it listens, the address to ask it at first. */
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
        ...(hasPassword ? [secretFile(node, "password", "app")] : []),
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
      // All addresses are no address to ask; its own loopback then is one of them.
      address: bind[0] === undefined || isInPod ? "127.0.0.1" : bind[0],
      isInPod,
      port: node.port,
      hasPassword,
      ...(node.kind === "data" ? dataValues(config, node) : {}),
    },
    secrets: NO_SECRETS,
    mode: 0o755,
  };
}

function dataValues(config: ClusterConfig, node: DataNode): Record<string, unknown> {
  const peers = nodesOf(config, "data").filter(
    (other) => other.partition === node.partition && other.name !== node.name,
  );
  return {
    announceAddress: addressOf(node.host),
    peers: peers.map((peer) => ({ address: addressOf(peer.host), port: peer.port })),
    statusNodes: nodesOf(config, "status").map(({ host, port, db }) => ({
      address: addressOf(host),
      port,
      db,
    })),
    requestKey: registerKeys(config.settings.cluster).request,
    handoverWithinS: HANDOVER_WITHIN_S,
  };
}

function secretFile(node: ClusterNode, name: string, user: RedisUser): PlannedFile {
  return {
    path: `${node.name}/${name}`,
    purpose: "generated",
    template: "secret.hbs",
    values: {},
    secrets: { secret: { user, form: "plain" } },
    mode: 0o600,
  };
}
