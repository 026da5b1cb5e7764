// wait.ts: a client's WAIT and WAITAOF: how many replicas have the client's writes; the minimum over its partitions.
//
//   written in 0 and 2   ->   0: PING, WAIT n t -> 3     2: PING, WAIT n t -> 1     ->   :1
//
// WAIT refers to the master's offset at the last command of its connection. The client's writes used connections that all
// clients share, where a WAIT would block them all. So WAIT uses a dedicated connection, with a PING before it: the offset
// after the PING is not before any write that has its reply. (Without the PING, WAIT replies at once with the number of
// replicas, whatever they have.)
// A partition whose master changed since the write counts as 0.
// https://redis.io/docs/latest/commands/wait/
import type { Protocol } from "../../resp/encode.ts";
import { countHolders } from "../../route/session/wait-command.ts";
import type { DedicatedConnection } from "./connection.ts";
import type { DedicatedPool } from "./pool.ts";

export interface WaitRun {
  readonly args: readonly Buffer[];
  readonly raw: Buffer;
  readonly partitions: readonly number[];
  /** The client wrote to a master that has been replaced. */
  readonly hasLost: boolean;
  readonly protocol: Protocol;
  readonly pool: DedicatedPool;
  finish(reply: Buffer): void;
}

const PING = Buffer.from("*1\r\n$4\r\nPING\r\n");

/** Returns the function to call when the client has disconnected; after `finish` it does nothing. */
export function runWait(run: WaitRun): () => void {
  return countHolders(run, (partition, done) => askPartition(run, partition, done));
}

/** `done` gets the node's reply, or undefined when there is none. */
function askPartition(
  { raw, args, protocol, pool }: WaitRun,
  partition: number,
  done: (reply: Buffer | undefined) => void,
): () => void {
  const timeoutMs = Number(args.at(-1)?.toString("latin1") ?? 0);
  const { holdForMs } = pool.context;
  let borrowed: DedicatedConnection | undefined;
  const giveUp = (cause: string): void => {
    const connection = borrowed;
    borrowed = undefined;
    if (connection !== undefined) pool.destroy(connection, cause);
    done(undefined);
  };
  const cancelAcquire = pool.acquire({
    partition,
    protocol,
    isRead: true,
    bytes: raw.length,
    holdMs: timeoutMs === 0 ? holdForMs : Math.min(timeoutMs, holdForMs),
    failed: () => {
      done(undefined);
    },
    moved: () => {
      done(undefined);
    },
    ready: (connection) => {
      borrowed = connection;
      connection.owner = {
        onBroken: giveUp,
        onMasterChange: () => {
          giveUp("its node is not the master any more");
        },
      };
      connection.request(Buffer.concat([PING, raw]), 2, ([, reply]) => {
        borrowed = undefined;
        pool.release(connection);
        done(reply);
      });
    },
  });
  return () => {
    cancelAcquire();
    const connection = borrowed;
    borrowed = undefined;
    // WAIT still blocks at the node. Only closing the connection cancels it.
    if (connection !== undefined) pool.destroy(connection, "its client is gone");
  };
}
