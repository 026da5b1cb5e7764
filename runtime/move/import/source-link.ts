// source-link.ts: a connection to a server of another system: with a password or without, of any version.
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import { addressOf } from "../../core/cluster.ts";
import type { ImportedNode } from "./imported.ts";

/** One connection; a command that the server refuses, or does not answer, is thrown. */
export type SourceSocket = Pick<NodeSocket, "call" | "destroy">;

export interface SourceOptions {
  readonly clock: Clock;
  readonly password?: string | undefined;
  /** Absent: without TLS. */
  readonly tls?: LinkTls | undefined;
  /** A server that says nothing for so long is given up. */
  readonly withinMs: number;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Instead of a connection of this machine: for a simulated one. */
  readonly open?: (node: ImportedNode) => Promise<SourceSocket>;
}

/** Throws NodeError. The caller destroys it. */
export async function openSource(
  { host, port }: ImportedNode,
  { clock, password, tls, withinMs, signal }: SourceOptions,
): Promise<NodeSocket> {
  const address = { host: addressOf(host), port };
  const socket = await openNodeSocket(address, { clock, tls, signal, silenceMsMax: withinMs });
  try {
    // Before Redis 6 there was a password alone, and it still is the default user's.
    if (password !== undefined) await socket.call("AUTH", password);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
