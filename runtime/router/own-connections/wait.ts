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
import { decodeReply } from "../../resp/decode.ts";
import { encodeReply, errorReply, type Protocol } from "../../resp/encode.ts";
import { itemsOf, numberOf, type RespValue } from "../../resp/value.ts";
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

/** What is wrong with the arguments, in Redis's words; undefined: nothing. */
export function waitError(args: readonly Buffer[]): Buffer | undefined {
  const words = args.slice(1).map((arg) => arg.toString("latin1", 0, 32));
  const timeout = words.pop() ?? "";
  if (words.some((word) => !/^-?\d{1,18}$/.test(word))) {
    return errorReply("ERR value is not an integer or out of range");
  }
  if (!/^-?\d{1,18}$/.test(timeout)) {
    return errorReply("ERR timeout is not an integer or out of range");
  }
  return timeout.startsWith("-") ? errorReply("ERR timeout is negative") : undefined;
}

/** Gives the function that ends it without a reply, because its client is gone; after `finish` it does nothing. */
export function runWait(run: WaitRun): () => void {
  const counts: number[][] = [];
  const ends: (() => void)[] = [];
  const isAof = run.args.length === 4;
  const none = isAof ? [0, 0] : [0];
  const state = { left: run.partitions.length, isOver: false };
  const finishWhenAll = (): void => {
    if (state.left > 0 || state.isOver) return;
    state.isOver = true;
    run.finish(leastReply(run.hasLost ? [...counts, none] : counts, none, run.protocol));
  };
  for (const partition of run.partitions) {
    let isCounted = false;
    ends.push(
      askPartition(run, partition, (reply) => {
        if (isCounted || state.isOver) return;
        isCounted = true;
        const counted = reply === undefined ? none : countsOf(reply);
        if (typeof counted === "string") {
          state.isOver = true;
          run.finish(errorReply(counted));
          return;
        }
        counts.push(counted);
        state.left--;
        finishWhenAll();
      }),
    );
  }
  finishWhenAll();
  return () => {
    state.isOver = true;
    for (const end of ends) end();
  };
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

/** One number of WAIT, two of WAITAOF; the text of an error. */
function countsOf(reply: Buffer): number[] | string {
  const value = decodeReply(reply);
  if (value.type === "error") return value.text;
  const items = value.type === "integer" ? [value] : itemsOf(value);
  return items.map((item) => numberOf(item) ?? 0);
}

/** The least of each number, as one reply; of a list without entries nothing is held. */
export function leastReply(
  counts: readonly (readonly number[])[],
  none: readonly number[],
  protocol: Protocol,
): Buffer {
  const least = none.map((zero, place) =>
    counts.length === 0 ? zero : Math.min(...counts.map((list) => list[place] ?? 0)),
  );
  const items = least.map((count): RespValue => ({ type: "integer", value: BigInt(count) }));
  const [only] = items;
  const isOne = items.length === 1 && only !== undefined;
  return encodeReply(isOne ? only : { type: "array", items }, protocol);
}
