// own-client.ts: what the parts that use connections of their own know of their client and their router.
import type { Protocol } from "../../resp/encode.ts";
import type { DispatchContext } from "../dispatch/dispatch.ts";
import type { OwnConnectionPool } from "./pool.ts";
import type { Requester } from "../lanes/reply-sink.ts";
import type { WrittenPartitions } from "../../route/written-partitions.ts";

export interface OwnContext extends DispatchContext {
  readonly own: OwnConnectionPool;
  readonly hashTag: string | undefined;
}

/** The client, as they see it. */
export interface OwnClient extends Requester {
  readonly written: WrittenPartitions;
  readonly protocol: Protocol;
  /** Bytes that the client was sent and has not taken. */
  readonly unsentBytes: number;
  /** Runs `task` when the newest command's reply is the only one that is owed: everything before it was executed. */
  whenFirst(task: () => void): void;
  /** Sends bytes that answer no command, before any reply that is still owed. */
  push(bytes: Buffer, start: number, end: number): void;
  destroy(): void;
}

/** The partitions of keys, at once where the hash answers at once. Rejects or throws what the hash does. */
export function partitionsOf(
  keys: readonly Buffer[],
  context: OwnContext,
): readonly number[] | Promise<readonly number[]> {
  const found: number[] = [];
  const later: Promise<void>[] = [];
  keys.forEach((key, at) => {
    const partition = context.partitioner.partitionOf(key);
    if (typeof partition === "number") found[at] = partition;
    else later.push(partition.then((number) => void (found[at] = number)));
  });
  return later.length === 0 ? found : Promise.all(later).then(() => found);
}
