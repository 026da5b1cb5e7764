// plan-cluster.ts: computes everything that will exist from a twine.conf. Pure and deterministic: the order of the lines of
// twine.conf has no effect.
//
//   partitions/HOST/               the host's folder, to which file and service paths are relative
//     NAME/redis.conf users.acl    each node's own folder; it can be copied elsewhere and started there
//     NAME/data/twine-stamp        the cluster of this data
//     appendonly/compact.sh        when the data nodes write append only files
//     monit/ systemd/              files for a supervisor (supervisor-files.ts)
//
// In containers a service has the same files, except for those in container-files.ts, which also lists the additional ones.
import {
  addressOf,
  hostsOf,
  nodesOf,
  type ClusterConfig,
  type ClusterNode,
  type DataNode,
  type Settings,
  type StatusNode,
} from "../../runtime/core/cluster.ts";
import { confDigest } from "../../runtime/core/conf/digest.ts";
import { TwineError, type Problem } from "../../runtime/core/errors.ts";
import { isLoopback, listenAddresses } from "../../runtime/core/listen-addresses.ts";
import { byName, compareNames } from "../../runtime/core/natural-order.ts";
import { groupBy } from "./group-by.ts";
import { aclSecrets, dataUsers, statusUsers, type AclUser } from "./acl.ts";

import { CONTAINER_PATHS, containerFiles } from "./container-files.ts";
import type { Plan, PlanOptions, PlannedFile, PlannedHost, PlannedSecret } from "./plan.ts";
import { planService } from "./plan-service.ts";
import { dataSettings, isAppendOnly } from "./redis-settings.ts";
import { firstRoles, stackFiles } from "./stack-files.ts";
import { startChain } from "./start-chain.ts";
import { supervisorFiles } from "./supervisor-files.ts";

const NO_SECRETS: Readonly<Record<string, PlannedSecret>> = {};

/**
 * Everything that will exist for `config`. Throws a TwineError with PLAN_NAME_UNUSABLE for every name that can't be a
 * folder's.
 */
export function planCluster(config: ClusterConfig, options: PlanOptions): Plan {
  const problems = unusableNames(config.nodes);
  if (problems.length > 0) throw new TwineError(problems);
  const nodesByHost = groupBy(config.nodes, ({ host }) => host);
  const after = isInContainer(options) ? startChain(config) : undefined;
  const hosts = [...nodesByHost]
    .map(([host, nodes]) => planHost(config, host, byName(nodes), options, after))
    .sort((a, b) => compareNames(a.name, b.name));
  return {
    cluster: config.settings.cluster,
    confDigest: confDigest(config),
    hosts,
    warnings: reachWarnings(config, options),
  };
}

function planHost(
  config: ClusterConfig,
  host: string,
  nodes: readonly ClusterNode[],
  options: PlanOptions,
  after: ReadonlyMap<string, readonly string[]> | undefined,
): PlannedHost {
  const bind =
    options.placement === "pods"
      ? ["0.0.0.0"]
      : listenAddresses(host, options.hasPassword, options.loopbackHosts);
  const services = nodes.map((node) =>
    planService(node, bind, config.settings, options, after?.get(node.name)),
  );
  const files = nodes.flatMap((node) => filesOfNode(config, node, bind, options));
  const dataNodes = nodes.filter((node) => node.kind === "data");
  const hasCron = !isInContainer(options);
  if (hasCron && dataNodes.length > 0 && isAppendOnly(config.settings.redis)) {
    files.push(compactScript(config.settings.cluster, dataNodes));
  }
  services.sort((a, b) => a.order - b.order || compareNames(a.name, b.name));
  files.push(...supervisorFiles(config, host, services, options.installation, options.confPath));
  return { name: host, address: addressOf(host), files, services };
}

function isInContainer({ placement = "folders" }: PlanOptions): boolean {
  return placement !== "folders";
}

function filesOfNode(
  config: ClusterConfig,
  node: ClusterNode,
  bind: readonly string[],
  options: PlanOptions,
): PlannedFile[] {
  const inContainer = isInContainer(options)
    ? containerFiles(config, node, bind, options.hasPassword)
    : [];
  if (node.kind === "monitor" || node.kind === "router") {
    return [...stackFiles(config, node, bind, options), ...inContainer];
  }
  const { cluster } = config.settings;
  const major = options.redisMajor ?? 7;
  const users =
    node.kind === "data" ? dataUsers(major, config.settings.failover) : statusUsers(cluster, major);
  return [
    node.kind === "data"
      ? dataConf(config, node, bind, options)
      : statusConf(cluster, node, bind, options),
    ...(options.hasPassword ? [usersAcl(config.settings, node, users)] : []),
    ...(isInContainer(options) ? inContainer : [stampFile(cluster, node)]),
  ];
}

function stampFile(cluster: string, node: ClusterNode): PlannedFile {
  return {
    path: `${node.name}/data/twine-stamp`,
    purpose: "stamp",
    template: "twine-stamp.hbs",
    values: { cluster },
    secrets: NO_SECRETS,
    mode: 0o644,
  };
}

function dataConf(
  config: ClusterConfig,
  node: DataNode,
  bind: readonly string[],
  options: PlanOptions,
): PlannedFile {
  const { cluster, redis, downAfterMs } = config.settings;
  return {
    path: `${node.name}/redis.conf`,
    // Sentinel makes the nodes write their roles into it.
    purpose: config.settings.failover === "sentinel" ? "rewritten" : "generated",
    template: "redis-data.conf.hbs",
    values: {
      ...redisBase(cluster, node, bind, options),
      ...firstRoles(config, node),
      partition: node.partition,
      announceAddress: addressOf(node.host),
      settings: dataSettings(redis, options.redisMajor ?? 7, downAfterMs),
    },
    secrets: options.hasPassword ? { masterauth: { user: "replica", form: "plain" } } : NO_SECRETS,
    mode: options.hasPassword ? 0o600 : 0o644,
  };
}

function statusConf(
  cluster: string,
  node: StatusNode,
  bind: readonly string[],
  options: PlanOptions,
): PlannedFile {
  const hasShutdownSetting = (options.redisMajor ?? 7) >= 7;
  return {
    path: `${node.name}/redis.conf`,
    purpose: "generated",
    template: "redis-status.conf.hbs",
    values: { ...redisBase(cluster, node, bind, options), hasShutdownSetting },
    secrets: NO_SECRETS,
    mode: 0o644,
  };
}

function redisBase(
  cluster: string,
  node: DataNode | StatusNode,
  bind: readonly string[],
  options: PlanOptions,
): Record<string, unknown> {
  return {
    cluster,
    node: node.name,
    port: node.port,
    bind,
    databases: Math.max(16, node.db + 1),
    hasPassword: options.hasPassword,
    isInContainer: isInContainer(options),
    // A pod has a private network, and without a password clients can't be distinguished anyway.
    protectedMode: options.placement === "pods" && !options.hasPassword ? "no" : "yes",
    paths: isInContainer(options)
      ? { data: CONTAINER_PATHS.data, log: "", acl: `${CONTAINER_PATHS.files}/users.acl` }
      : { data: "./data", log: "../redis.log", acl: "../users.acl" },
  };
}

function usersAcl(
  { cluster, router }: Settings,
  node: ClusterNode,
  users: readonly AclUser[],
): PlannedFile {
  // twemproxy sends a password without a user. The default user has every right anyway.
  const isDefaultOn = router === "twemproxy" && node.kind === "data";
  return {
    path: `${node.name}/users.acl`,
    purpose: "generated",
    template: "users.acl.hbs",
    values: { cluster, node: node.name, users, isDefaultOn },
    secrets: aclSecrets(users),
    mode: 0o600,
  };
}

function compactScript(cluster: string, nodes: readonly ClusterNode[]): PlannedFile {
  return {
    path: "appendonly/compact.sh",
    purpose: "generated",
    template: "compact.sh.hbs",
    values: { cluster, nodes: nodes.map((node) => node.name) },
    secrets: NO_SECRETS,
    mode: 0o755,
  };
}

/** Names become folders: "." and ".." exist already, and a host must be the name of a single folder. */
function unusableNames(nodes: readonly ClusterNode[]): Problem[] {
  const isUsable = (name: string): boolean => !/^\.{1,2}$|[/\\\0]/.test(name);
  return nodes.flatMap((node) =>
    [node.name, node.host]
      .filter((name) => !isUsable(name))
      .map((name) => ({
        code: "PLAN_NAME_UNUSABLE",
        message: `${JSON.stringify(name)} of node ${node.name} can't be the name of a folder`,
        at: node.at,
        remedy: "give it another name",
      })),
  );
}

/** Without a password everything listens on 127.0.0.1 alone, so other hosts can't be part of the cluster. */
function reachWarnings(config: ClusterConfig, options: PlanOptions): Problem[] {
  const hosts = hostsOf(config).sort(compareNames);
  const far = hosts.filter((host) => !isLoopback(host, options.loopbackHosts));
  if (options.hasPassword || far.length === 0 || hosts.length === 1) return [];
  if (options.placement === "pods") return [];
  const first = [...nodesOf(config, "data"), ...config.nodes].find((node) => node.host === far[0]);
  return [
    {
      code: "PLAN_HOSTS_UNREACHABLE",
      message:
        `there is no password, so everything listens on 127.0.0.1 alone, and the hosts ` +
        `${hosts.join(", ")} can't reach each other`,
      ...(first === undefined ? {} : { at: first.at }),
      remedy: "put a password into a file and name it with TWINE_PASSWORD_FILE",
    },
  ];
}
