// source-link.ts: a connection to a server of another system: with a password or without, of any version.
import type { Clock } from "../../ports/clock.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import { addressOf } from "../../core/cluster.ts";
import type { ImportedNode } from "./imported.ts";

export interface SourceOptions {
  readonly clock: Clock;
  readonly password?: string | undefined;
  /** A server that says nothing for so long is given up. */
  readonly withinMs: number;
}

/** Throws NodeError. The caller destroys it. */
export async function openSource(
  { host, port }: ImportedNode,
  { clock, password, withinMs }: SourceOptions,
): Promise<NodeSocket> {
  const address = { host: addressOf(host), port };
  const socket = await openNodeSocket(address, { clock, silenceMsMax: withinMs });
  try {
    // Before Redis 6 there was a password alone, and it still is the default user's.
    if (password !== undefined) await socket.call("AUTH", password);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
