// source-address.ts: from which loopback address each node of an environment opens its connections.
//
//   host db1 -> 127.77.3.1 ...          hosts from below: where nodes listen
//   node a1  -> 127.77.3.254 ...        nodes from above: from where they connect
//
// Without it every connection on the loopback comes from 127.0.0.1, and a cut could not tell a node from a client.
import { pathToFileURL } from "node:url";
import { codePath } from "../../runtime/cli/package-root.ts";
import { hostsOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import type { LaunchExtrasOf } from "../local/context.ts";
import { ENV_HOSTS_MAX } from "./place-env.ts";

/** Node -> address. */
export type SourceAddresses = Readonly<Record<string, string>>;

/** Redis can choose the address since this version (bind-source-addr). */
export const SOURCE_REDIS_MAJOR = 7;

/** Of a placed config, whose hosts share one block; undefined when the block has too few addresses. */
export function sourceAddresses(config: ClusterConfig): SourceAddresses | undefined {
  const hosts = hostsOf(config);
  if (hosts.length + config.nodes.length > ENV_HOSTS_MAX) return undefined;
  const block = hosts[0]?.split(".").slice(0, 3).join(".") ?? "";
  return Object.fromEntries(
    config.nodes.map(({ name }, index) => [name, `${block}.${ENV_HOSTS_MAX - index}`]),
  );
}

/** What a process needs to connect from its node's address: arguments for Redis, variables for Node. */
export function launchExtrasOf(sources: SourceAddresses | undefined): LaunchExtrasOf {
  return ({ name, command }) => {
    const address = sources?.[name];
    if (address === undefined) return {};
    if (command[0] === "redis-server") {
      // The protected mode of Redis 7.0 takes 127.0.0.1 alone for this machine. The node listens on a loopback address.
      return { args: ["--bind-source-addr", address, "--protected-mode", "no"] };
    }
    const preload = pathToFileURL(codePath("infra/env/connect-from")).href;
    const options = `${process.env["NODE_OPTIONS"] ?? ""} --import=${preload}`;
    return { env: { NODE_OPTIONS: options.trim(), TWINE_ENV_SOURCE: address } };
  };
}
