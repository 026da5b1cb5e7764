// pipeline-queues.ts: counts the requests in one pipeline, for the statistics: when they are read, not at each change.
//
//   buffered (in the queue, or refused by a node) -> not written yet -> written, without a reply
//   |______________ in queue _______________________________|    |__ out queue __|
import type { RequestBuffer } from "./request-buffer.ts";
import type { BufferedRequest, InFlight } from "./in-flight.ts";
import type { Queues } from "../stats/snapshot.ts";

export interface PipelineQueues extends Queues {
  /** The node that the pipeline is connected to. */
  readonly node: string | undefined;
  readonly partition: number;
}

/** `refused`: requests that the node did not execute, to be sent again. */
export function pipelineQueues(
  node: string | undefined,
  partition: number,
  queue: RequestBuffer,
  refused: readonly BufferedRequest[],
  wire: InFlight,
): PipelineQueues {
  const { sent, unsent } = wire.waitingBytes();
  const held = queue.count + refused.length;
  const bufferedBytes = queue.bytes + refused.reduce((sum, { command }) => sum + command.length, 0);
  return {
    ...{ node, partition, held },
    inQueue: held + wire.unsentCount,
    inQueueBytes: bufferedBytes + unsent,
    outQueue: wire.sentCount,
    outQueueBytes: sent,
  };
}
