// wait.ts: a client's WAIT and WAITAOF: how many replicas hold what it wrote, the least of its partitions.
//
//   written in 0 and 2   ->   0: PING, WAIT n t -> 3     2: PING, WAIT n t -> 1     ->   :1
//
// WAIT counts against the offset that the master had at its connection's last command. The client's writes went over
// connections that all clients share, where a WAIT would hold all of them up; so it is sent on a connection of its own, and
// a PING before it takes the offset of that moment, which is not before any write that was answered. (Without the PING it
// answers at once with the number of replicas, whatever they hold.)
// A partition whose master changed since the write counts as none.
// https://redis.io/docs/latest/commands/wait/
import type { Protocol } from "../../resp/encode.ts";
import { countHolders } from "../../route/wait-command.ts";
import type { OwnConnection } from "./connection.ts";
import type { OwnConnectionPool } from "./pool.ts";

export interface WaitRun {
  readonly args: readonly Buffer[];
  readonly raw: Buffer;
  readonly partitions: readonly number[];
  /** Something was written under a master that is gone. */
  readonly hasLost: boolean;
  readonly protocol: Protocol;
  readonly pool: OwnConnectionPool;
  finish(reply: Buffer): void;
}

const PING = Buffer.from("*1\r\n$4\r\nPING\r\n");

/** Gives the function that ends it without a reply, because its client is gone; after `finish` it does nothing. */
export function runWait(run: WaitRun): () => void {
  return countHolders(run, (partition, done) => askPartition(run, partition, done));
}

/** `done` gets the node's reply, or undefined when nothing can be known there. */
function askPartition(
  { raw, args, protocol, pool }: WaitRun,
  partition: number,
  done: (reply: Buffer | undefined) => void,
): () => void {
  const timeoutMs = Number(args.at(-1)?.toString("latin1") ?? 0);
  const { holdForMs } = pool.context;
  let lent: OwnConnection | undefined;
  const giveUp = (cause: string): void => {
    const connection = lent;
    lent = undefined;
    if (connection !== undefined) pool.end(connection, cause);
    done(undefined);
  };
  const takeBack = pool.take({
    partition,
    protocol,
    isRead: true,
    bytes: raw.length,
    holdMs: timeoutMs === 0 ? holdForMs : Math.min(timeoutMs, holdForMs),
    failed: () => {
      done(undefined);
    },
    ready: (connection) => {
      lent = connection;
      connection.holder = {
        broken: giveUp,
        masterGone: () => {
          giveUp("its node is not the master any more");
        },
      };
      connection.ask(Buffer.concat([PING, raw]), 2, ([, reply]) => {
        lent = undefined;
        pool.give(connection);
        done(reply);
      });
    },
  });
  return () => {
    takeBack();
    const connection = lent;
    lent = undefined;
    // It still waits there: only its end makes the node forget it.
    if (connection !== undefined) pool.end(connection, "its client is gone");
  };
}
