// dedicated-client.ts: what the users of dedicated connections need to know of their client and of the engine.
import { errorReply, type Protocol } from "../../resp/encode.ts";
import { crossSlot } from "../../route/replies/wire-errors.ts";
import type { DispatchContext } from "../dispatch/pending-command.ts";
import type { DedicatedPool } from "./pool.ts";
import type { Requester } from "../pipelines/reply-sink.ts";
import type { WrittenPartitions } from "../../route/session/written-partitions.ts";
import { errorText } from "../../core/error-text.ts";

export interface DedicatedContext extends DispatchContext {
  readonly own: DedicatedPool;
}

/** The client of transactions, blocking commands, WAIT and subscriptions. */
export interface DedicatedClient extends Requester {
  readonly written: WrittenPartitions;
  readonly protocol: Protocol;
  /** Bytes written to the client's socket and not yet sent. */
  readonly unsentBytes: number;
  /** Runs `task` when only the newest command's reply is outstanding: all earlier commands were executed. */
  whenFirst(task: () => void): void;
  /** Sends bytes that are no reply (a push), before all outstanding replies. */
  push(bytes: Buffer, start: number, end: number): void;
  destroy(): void;
}

/** The partitions of keys; a promise only if the hash needs one. Throws or rejects with the hash's error. */
export function partitionsOf(
  keys: readonly Buffer[],
  context: DedicatedContext,
): readonly number[] | Promise<readonly number[]> {
  const found: number[] = [];
  const later: Promise<void>[] = [];
  keys.forEach((key, at) => {
    const partition = context.routed.routing.partitionOf(key);
    if (typeof partition === "number") found[at] = partition;
    else later.push(partition.then((number) => void (found[at] = number)));
  });
  return later.length === 0 ? found : Promise.all(later).then(() => found);
}

/** The partition of a command's keys, or the error for its client. */
export type Located = { readonly partition: number } | { readonly refused: Buffer };

/** Finds the one partition of all keys; without keys, any partition with a master. `done` is called synchronously
    unless the hash needs a promise. */
export function locate(
  keys: readonly Buffer[],
  context: DedicatedContext,
  done: (located: Located) => void,
): void {
  const { routing } = context.routed;
  const found = (partitions: readonly number[]): void => {
    if (routing !== context.routed.routing) locate(keys, context, done);
    else done(oneOf(keys, partitions, context));
  };
  const failed = (error: unknown): void => {
    done({ refused: hashFailed(error) });
  };
  try {
    const partitions = partitionsOf(keys, context);
    if ("then" in partitions) partitions.then(found, failed);
    else found(partitions);
  } catch (error) {
    failed(error);
  }
}

function oneOf(
  keys: readonly Buffer[],
  partitions: readonly number[],
  { own }: DedicatedContext,
): Located {
  const [partition = own.anyMaster()] = partitions;
  const other = partitions.findIndex((one) => one !== partition);
  if (other === -1) return { partition };
  const [key, otherKey] = [keys[0] ?? NOTHING, keys[other] ?? NOTHING];
  return { refused: crossSlot(key, partition, otherKey, partitions[other] ?? 0) };
}

const NOTHING = Buffer.alloc(0);

export function hashFailed(error: unknown): Buffer {
  const why = errorText(error);
  return errorReply(`ERR twine: the hash of twine.conf failed: ${why}`);
}
