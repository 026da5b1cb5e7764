// acceptors.ts: the status nodes of a twine.conf as acceptors, each behind a standing link of its own.
import {
  addressOf,
  nodesOf,
  type ClusterConfig,
  type Settings,
  type StatusNode,
} from "../core/cluster.ts";
import { credentialsOf } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import { redisAcceptor } from "./redis-acceptor.ts";
import type { Acceptor } from "./register.ts";
import { standingLink, type StandingLink, type StandingLinkOptions } from "./standing-link.ts";

/** Who speaks to the status nodes; decides the credentials when there is a password. */
export type RegisterUser = "monitor" | "app" | "router";

export interface StatusNodesOptions {
  readonly config: ClusterConfig;
  /** The operator's secret, or undefined: no authentication. */
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly user?: RegisterUser;
}

/** How long a status node may take to answer: half a lease, so that one silent node can't outlast it. */
export function answerMsOf({ leaseMs }: Settings): number {
  return Math.max(leaseMs / 2, 50);
}

/** The standing link to one status node, not yet connected. */
export function statusNodeLink(
  node: StatusNode,
  { config, password, clock, openLink, user = "app" }: StatusNodesOptions,
  onOpen?: StandingLinkOptions["onOpen"],
): StandingLink {
  const { leaseMs } = config.settings;
  return standingLink({
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

/** All status nodes, first to last. Links open at the first call, come back by themselves, and close together. */
export function openAcceptors(options: StatusNodesOptions): {
  readonly acceptors: readonly Acceptor[];
  close(): void;
} {
  const { cluster } = options.config.settings;
  const nodes = nodesOf(options.config, "status").map((node) => ({
    name: node.name,
    link: statusNodeLink(node, options),
  }));
  return {
    acceptors: nodes.map(({ name, link }) => redisAcceptor(name, cluster, link.pipeline)),
    close: () => {
      for (const { link } of nodes) link.close();
    },
  };
}
