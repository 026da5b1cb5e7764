// choose-source.ts: from which node a partition's data are taken, by backups and moves. Pure.
//
// 1. A replica in sync, so that no master is slowed: from the last by name on, because the first is whom the alpha likes
//    best as a master.
// 2. The master, when there is no such replica or none of them gives its data.
import { addressOf } from "../core/cluster.ts";
import { byName } from "../core/natural-order.ts";
import type { View } from "../core/view.ts";

export interface Source {
  readonly node: string;
  readonly role: "master" | "replica";
  readonly host: string;
  readonly port: number;
  readonly db: number;
}

/** In the order in which they are to be tried; none: the partition can't be backed up now. */
export function sourcesOf(view: Pick<View, "nodes" | "partitions">, partition: number): Source[] {
  const nodes = byName(view.nodes.filter((node) => node.partition === partition)).toReversed();
  const replicas = nodes.filter(({ role, inSync }) => role === "replica" && inSync);
  const master = view.partitions.find(({ index }) => index === partition)?.master;
  const masters = nodes.filter(({ name, role }) => role === "master" && name === master);
  return [...replicas, ...masters].map(({ name, role, host, port, db }) => ({
    node: name,
    role: role === "master" ? "master" : "replica",
    host: addressOf(host),
    port,
    db: db ?? 0,
  }));
}
