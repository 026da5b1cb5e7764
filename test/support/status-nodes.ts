// status-nodes.ts: real redis-servers as the status nodes of a cluster, durable as the plan makes them.
import { onTestFinished } from "vitest";
import type { ClusterConfig, Settings } from "../../runtime/core/cluster.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { systemRandom } from "../../runtime/ports/random.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { createProposer } from "../../runtime/register/proposer.ts";
import type { Acceptor, Proposer } from "../../runtime/register/register.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { DURABLE } from "./durable.ts";
import { startRedis, type TestRedis } from "./redis-server.ts";

/** The bodies of these tests are no views. */
const anyBody = () => undefined;

export interface StatusNodes {
  readonly servers: readonly TestRedis[];
  readonly config: ClusterConfig;
  /** What the functions of runtime/register want to be opened with. */
  readonly ports: {
    readonly config: ClusterConfig;
    readonly password: undefined;
    readonly clock: typeof systemClock;
    readonly openLink: typeof openRedisLink;
  };
  /** Acceptors of their own links; closed with the test. */
  acceptors(): readonly Acceptor[];
  proposer(name: string): Proposer;
  /** The same servers in another cluster's twine.conf. */
  as(cluster: string): StatusNodes;
}

/** Starts `count` status nodes s1, s2, ...; each in a db of its own, so that a wrong db shows. The lease is long: a busy
    machine's slow fsync must not look like a silent node. */
export async function startStatusNodes(
  count: number,
  settings: Partial<Settings> = {},
): Promise<StatusNodes> {
  const servers = await Promise.all(Array.from({ length: count }, () => startRedis(DURABLE)));
  return statusNodesOf(servers, { cluster: "twine", leaseMs: 2000, ...settings });
}

export function statusNodesOf(
  servers: readonly TestRedis[],
  settings: Partial<Settings>,
): StatusNodes {
  const lines = servers.map(({ port }, index) => `s${index + 1}=status localhost ${port} ${index}`);
  const { config: parsed, errors } = parseConf(
    ["a1=data 0 9 0", ...lines].join("\n"),
    "twine.conf",
  );
  if (parsed === undefined) throw new Error(JSON.stringify(errors));
  const config = { ...parsed, settings: { ...parsed.settings, ...settings } };
  const ports = { config, password: undefined, clock: systemClock, openLink: openRedisLink };
  const acceptors = (): readonly Acceptor[] => {
    const opened = openAcceptors({ ...ports, user: "monitor" }, anyBody);
    onTestFinished(() => {
      opened.close();
    });
    return opened.acceptors;
  };
  return {
    servers,
    config,
    ports,
    acceptors,
    proposer: (name) =>
      createProposer({
        name,
        cluster: config.settings.cluster,
        acceptors: acceptors(),
        random: systemRandom,
      }),
    as: (cluster) => statusNodesOf(servers, { ...settings, cluster }),
  };
}
