// own-nodes.ts: what twine-follow asks of the cluster's own data nodes: with which password they copy, and how far they are.
import { addressOf } from "../../core/cluster.ts";
import { credentialsOf, type Secret } from "../../core/credentials.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenLink, RedisLink } from "../../ports/redis-link.ts";
import { infoFields } from "../../resp/info-fields.ts";

export interface OwnOptions {
  readonly openLink: OpenLink;
  readonly clock: Clock;
  /** The cluster's. */
  readonly password: Secret | undefined;
}

export interface OwnState {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly isMaster: boolean;
  readonly isLinkUp: boolean;
  readonly replicationId: string;
  readonly offset: number;
}

export function nodesOfPartition(view: View, partition: number): readonly NodeView[] {
  return view.nodes.filter((node) => node.kind === "data" && node.partition === partition);
}

/** The password that they show the other system's master; undefined: none. And no Sentinel of that system may promote them. */
export async function copyWith(
  nodes: readonly NodeView[],
  password: string | undefined,
  options: OwnOptions,
): Promise<void> {
  await onEach(nodes, options, async (link) => {
    await link.call("CONFIG", "SET", "replica-priority", 0);
    await link.call("CONFIG", "SET", "masteruser", "");
    await link.call("CONFIG", "SET", "masterauth", password ?? "");
  });
}

/** As their redis.conf has it: they copy from one another again. */
export async function copyFromOwn(nodes: readonly NodeView[], options: OwnOptions): Promise<void> {
  const own = credentialsOf("replica", options.password);
  await onEach(nodes, options, async (link) => {
    await link.call("CONFIG", "SET", "masteruser", own?.username ?? "");
    await link.call("CONFIG", "SET", "masterauth", own?.password ?? "");
  });
}

/** Those that answer. */
export async function statesOf(
  nodes: readonly NodeView[],
  options: OwnOptions,
): Promise<readonly OwnState[]> {
  const states: OwnState[] = [];
  await Promise.allSettled(
    nodes.map((node) =>
      onEach([node], options, async (link) => {
        const fields = infoFields((await link.call("INFO", "replication")) as string);
        const isMaster = fields.get("role") === "master";
        states.push({
          ...{ name: node.name, host: addressOf(node.host), port: node.port, isMaster },
          isLinkUp:
            fields.get("master_link_status") === "up" &&
            fields.get("master_sync_in_progress") === "0",
          replicationId: fields.get("master_replid") ?? "",
          offset: Number(fields.get(isMaster ? "master_repl_offset" : "slave_repl_offset") ?? 0),
        });
      }),
    ),
  );
  return states.toSorted((a, b) => b.offset - a.offset);
}

export async function onEach(
  nodes: readonly NodeView[],
  { openLink, password }: OwnOptions,
  task: (link: RedisLink) => Promise<unknown>,
): Promise<void> {
  for (const { host, port } of nodes) {
    const credentials = credentialsOf("monitor", password);
    const link = await openLink(
      { host: addressOf(host), port },
      { credentials, connectTimeoutMs: 2000, commandTimeoutMs: 5000 },
    );
    try {
      await task(link);
    } finally {
      link.close();
    }
  }
}
