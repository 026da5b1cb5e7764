// package-entry.ts: the exports of "twine-redis": the clients, their options, their errors.
// The tools and the Pulumi component are not exported, so that a program with only a client does not load them.
export { TwineError } from "../core/errors.ts";
export type { View } from "../core/view.ts";
export type { AofLoaded, AofOptions } from "../replication/aof/load-aof.ts";
export type { HostEvents } from "./engine-host.ts";
export { RedCluster, type RedClusterOptions, type ReplicaSetNodes } from "./red/red-cluster.ts";
export { TwineClient, type TwineClientOptions } from "./twine-client.ts";
