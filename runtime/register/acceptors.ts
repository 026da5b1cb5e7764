// acceptors.ts: the status nodes of a twine.conf as acceptors, each with its own reconnecting link.
import {
  addressOf,
  nodesOf,
  type ClusterConfig,
  type Settings,
  type StatusNode,
} from "../core/cluster.ts";
import { credentialsOf, type Secret } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import { redisAcceptor, viewCheck, type BodyCheck } from "./redis-acceptor.ts";
import type { Acceptor } from "./register.ts";
import {
  reconnectingLink,
  type ReconnectingLink,
  type ReconnectingLinkOptions,
} from "./reconnecting-link.ts";

/** The Redis user for the status nodes' connections, if there is a password. */
export type RegisterUser = "monitor" | "app" | "router";

export interface StatusNodesOptions {
  readonly config: ClusterConfig;
  /** The operator's secret. undefined: no authentication. */
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly user?: RegisterUser;
}

/** The reply timeout of a status node: half a lease, at least 50 ms, so that one silent node can't delay a round for a
    lease. */
export function answerMsOf({ leaseMs }: Settings): number {
  return Math.max(leaseMs / 2, 50);
}

/** The reconnecting link to one status node. It connects at the first call. */
export function statusNodeLink(
  node: StatusNode,
  { config, password, clock, openLink, user = "app" }: StatusNodesOptions,
  onOpen?: ReconnectingLinkOptions["onOpen"],
): ReconnectingLink {
  const { leaseMs } = config.settings;
  return reconnectingLink({
    address: { host: addressOf(node.host), port: node.port, db: node.db },
    clock,
    openLink,
    link: {
      credentials: credentialsOf(user, password),
      clientName: `twine-register:${user}`,
      connectTimeoutMs: Math.max(leaseMs, 500),
    },
    answerMs: answerMsOf(config.settings),
    ...(onOpen === undefined ? {} : { onOpen }),
  });
}

/** All status nodes, first to last. Links connect at the first call, reconnect by themselves, and close() closes them
    all. */
export function openAcceptors(
  options: StatusNodesOptions,
  checkBody: BodyCheck = viewCheck,
): {
  readonly acceptors: readonly Acceptor[];
  close(): void;
} {
  const { cluster } = options.config.settings;
  const nodes = nodesOf(options.config, "status").map((node) => ({
    name: node.name,
    link: statusNodeLink(node, options),
  }));
  return {
    acceptors: nodes.map(({ name, link }) =>
      redisAcceptor(name, cluster, link.pipeline, checkBody),
    ),
    close: () => {
      for (const { link } of nodes) link.close();
    },
  };
}
