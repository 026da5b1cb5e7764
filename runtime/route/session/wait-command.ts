// wait-command.ts: WAIT and WAITAOF over several partitions: checks the arguments and merges the replies. Pure.
// https://redis.io/docs/latest/commands/wait/
import { decodeReply } from "../../resp/decode.ts";
import { encodeReply, errorReply, type Protocol } from "../../resp/encode.ts";
import { itemsOf, numberOf, type RespValue } from "../../resp/value.ts";

/** Redis's error for wrong arguments; undefined if they are valid. */
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

/** A WAIT or WAITAOF with its partitions. */
export interface WaitCount {
  readonly args: readonly Buffer[];
  readonly partitions: readonly number[];
  /** A write went to an earlier master: no replica is known to hold it. */
  readonly hasLost: boolean;
  readonly protocol: Protocol;
  finish(reply: Buffer): void;
}

/** Sends the command to one partition. `done` gets the node's reply, or undefined if nothing can be known there. Returns
    a function that cancels it. */
export type AskHolders = (
  partition: number,
  done: (reply: Buffer | undefined) => void,
) => () => void;

/** Sends the command to all partitions and finishes with the least of their numbers, or with the first error. Returns a
    function that cancels it without a reply; after `finish` it has no effect. */
export function countHolders(wait: WaitCount, ask: AskHolders): () => void {
  const counts: number[][] = [];
  const ends: (() => void)[] = [];
  const none = wait.args.length === 4 ? [0, 0] : [0];
  const state = { left: wait.partitions.length, isOver: false };
  const finishWhenAll = (): void => {
    if (state.left > 0 || state.isOver) return;
    state.isOver = true;
    wait.finish(leastReply(wait.hasLost ? [...counts, none] : counts, none, wait.protocol));
  };
  for (const partition of wait.partitions) {
    let isCounted = false;
    const take = (reply: Buffer | undefined): void => {
      if (isCounted || state.isOver) return;
      isCounted = true;
      const counted = reply === undefined ? none : countsOf(reply);
      if (typeof counted === "string") {
        state.isOver = true;
        wait.finish(errorReply(counted));
        return;
      }
      counts.push(counted);
      state.left--;
      finishWhenAll();
    };
    ends.push(ask(partition, take));
  }
  finishWhenAll();
  return () => {
    state.isOver = true;
    for (const end of ends) end();
  };
}

/** One number of WAIT, two of WAITAOF; the text of an error reply. */
function countsOf(reply: Buffer): number[] | string {
  const value = decodeReply(reply);
  if (value.type === "error") return value.text;
  const items = value.type === "integer" ? [value] : itemsOf(value);
  return items.map((item) => numberOf(item) ?? 0);
}

/** The least of each number as one reply; `none` if the list is empty. */
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
