// lane-queues.ts: what waits in one lane, for the statistics. Counted when somebody asks, not while it changes.
//
//   held (in the queue, or refused by a node) -> not written yet -> written, without a reply
//   |______________ in queue _______________________________|    |__ out queue __|
import type { HeldQueue } from "./held-queue.ts";
import type { InFlight } from "./in-flight.ts";
import type { Queues } from "../stats/snapshot.ts";

export interface LaneQueues extends Queues {
  /** The node that the lane is connected to. */
  readonly node: string | undefined;
  readonly partition: number;
}

export function laneQueues(lane: {
  readonly node: string | undefined;
  readonly partition: number;
  readonly queue: HeldQueue;
  /** Proved not executed, to be sent again. */
  readonly refusedBytes: readonly number[];
  readonly wire: InFlight;
}): LaneQueues {
  const { node, partition, queue, refusedBytes, wire } = lane;
  const { sent, unsent } = wire.waitingBytes();
  const held = queue.count + refusedBytes.length;
  const heldBytes = queue.bytes + refusedBytes.reduce((sum, bytes) => sum + bytes, 0);
  return {
    ...{ node, partition, held },
    inQueue: held + wire.unsentCount,
    inQueueBytes: heldBytes + unsent,
    outQueue: wire.sentCount,
    outQueueBytes: sent,
  };
}
