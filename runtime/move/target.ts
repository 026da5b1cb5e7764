// target.ts: where keys are moved to, as a port: commands in, executed in the order of the calls.
import {
  openNodeSocket,
  type NodeAddress,
  type NodeSocketOptions,
} from "../replication/node-socket.ts";
import { NodeError, type NodeErrorKind } from "../replication/node-error.ts";

export interface MoveTarget {
  /**
   * Sends a command at once; resolves with the target's error reply, or with undefined when it was executed. Rejects when
   * nobody knows whether it was.
   */
  send(args: readonly (Buffer | string)[]): Promise<NodeError | undefined>;
  close(): void;
}

/** No reply came: the command may have been executed. */
const BROKEN: ReadonlySet<NodeErrorKind> = new Set([
  ...(["unreachable", "silent", "closed", "aborted", "protocol"] as const),
]);

/** One redis-server. Throws NodeError. */
export async function openNodeTarget(
  address: NodeAddress,
  options: NodeSocketOptions & { readonly db?: number },
): Promise<MoveTarget> {
  const socket = await openNodeSocket(address, options);
  if ((options.db ?? 0) !== 0) await socket.call("SELECT", String(options.db));
  return {
    send: async (args) => {
      try {
        await socket.call(...args);
        return undefined;
      } catch (error) {
        // The connection stands: the node has answered.
        if (error instanceof NodeError && !BROKEN.has(error.kind)) return error;
        throw error;
      }
    },
    close: () => {
      socket.destroy();
    },
  };
}
