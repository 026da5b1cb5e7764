// place-env.ts: changes a twine.conf into that of a temporary cluster on this machine. Pure.
//
//   host db1 -> 127.77.3.1   host db2 -> 127.77.3.2 ...    one loopback address per host, the ports of twine.conf
//
// Every environment has its own block of addresses (127.A.B.1 to 127.A.B.254), so ports of different environments never
// conflict and many can run at the same time. Only Linux has all of 127.0.0.0/8 without configuration.
import { createHash } from "node:crypto";
import { isAbsolute, join } from "node:path/posix";
import { hostsOf, nodesOf, type ClusterConfig, type Settings } from "../../runtime/core/cluster.ts";
import { without } from "../../runtime/core/without.ts";
import { TwineError } from "../../runtime/core/errors.ts";

/** Host numbers of one block: .0 and .255 are left out. */
export const ENV_HOSTS_MAX = 254;
/** 127.16.0 to 127.239.255: users choose 127.0 and 127.1 by hand. */
const BLOCK_COUNT = (240 - 16) * 256;

/** The block to try in the n-th attempt, e.g. 127.77.3; it is computed from the name, so an environment usually gets the
    same block again. */
export function addressBlock(name: string, attempt: number): string {
  const start = createHash("sha256").update(name).digest().readUInt32BE(0);
  const block = (start + attempt * 7919) % BLOCK_COUNT;
  return `127.${16 + Math.floor(block / 256)}.${block % 256}`;
}

/** Whether a host of a twine.conf is an address that only environments use. */
export function isEnvAddress(host: string): boolean {
  const [, second = "0"] = /^127\.(\d{1,3})\.\d{1,3}\.\d{1,3}$/.exec(host) ?? [];
  return Number(second) >= 16 && Number(second) < 240;
}

/**
 * The config with every host in `block`. `folder` is that of the original twine.conf: files that it names are still found
 * there. Throws ENV_HOSTS when there are more hosts than addresses.
 */
export function placeEnv(
  config: ClusterConfig,
  {
    name,
    block,
    folder,
  }: { readonly name: string; readonly block: string; readonly folder: string },
): ClusterConfig {
  const hosts = hostsOf(config);
  if (hosts.length > ENV_HOSTS_MAX) {
    throw new TwineError({
      code: "ENV_HOSTS",
      message: `twine.conf names ${hosts.length} hosts, and an environment has ${ENV_HOSTS_MAX} addresses`,
      remedy: "put several nodes on one host",
    });
  }
  const addresses = new Map(hosts.map((host, index) => [host, `${block}.${index + 1}`]));
  return {
    ...config,
    nodes: config.nodes.map((node) => ({ ...node, host: addresses.get(node.host) ?? node.host })),
    settings: { ...settingsOfEnv(config.settings, folder), cluster: `env-${name}` },
  };
}

/** Settings of a temporary cluster: paths of files relative to the original twine.conf in `folder`, no mail, no backups. */
export function settingsOfEnv(given: Settings, folder: string): Settings {
  // A temporary cluster needs no token.
  const settings: Settings = without(given, "httpToken");
  const { hash, usersFile, tlsCert, tlsKey, tlsCa, backupKey } = settings;
  const at = (path: string): string => (isAbsolute(path) ? path : join(folder, path));
  return {
    ...settings,
    hash: hash.kind === "builtin" ? hash : { ...hash, path: at(hash.path) },
    ...(usersFile === undefined ? {} : { usersFile: at(usersFile) }),
    ...(tlsCert === undefined ? {} : { tlsCert: at(tlsCert) }),
    ...(tlsKey === undefined ? {} : { tlsKey: at(tlsKey) }),
    ...(tlsCa === undefined ? {} : { tlsCa: at(tlsCa) }),
    ...(backupKey === undefined ? {} : { backupKey: at(backupKey) }),
    // A temporary cluster sends no mail.
    alertMail: [],
    // A temporary cluster takes no backups.
    backupDirs: [],
    backupArchive: "no",
  };
}

export interface Endpoint {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** The addresses of all services of an environment. */
export interface EnvEndpoints {
  /** redis:// or rediss://, without a password. */
  readonly routerUrls: readonly string[];
  readonly monitorUrls: readonly string[];
  readonly routers: readonly Endpoint[];
  readonly monitors: readonly Endpoint[];
  readonly statusNodes: readonly Endpoint[];
  readonly dataNodes: readonly (Endpoint & { readonly partition: number })[];
}

export function endpointsOf(config: ClusterConfig): EnvEndpoints {
  const plain = ({ name, host, port }: Endpoint): Endpoint => ({ name, host, port });
  const routers = nodesOf(config, "router").map(plain);
  const monitors = nodesOf(config, "monitor").map(plain);
  const scheme = config.settings.tlsCert === undefined ? "redis" : "rediss";
  return {
    routerUrls: routers.map(({ host, port }) => `${scheme}://${host}:${port}`),
    monitorUrls: monitors.map(({ host, port }) => `http://${host}:${port}`),
    routers,
    monitors,
    statusNodes: nodesOf(config, "status").map(plain),
    dataNodes: nodesOf(config, "data").map((node) => ({
      ...plain(node),
      partition: node.partition,
    })),
  };
}
