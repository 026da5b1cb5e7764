// open-queues.ts: the queues of open transactions. They share hold-bytes with the requests that are buffered in an outage.
//
//   hold-bytes is used up -> the largest queue is dropped: its EXEC executes nothing and says why
//
// Otherwise one client that queues much and never sends EXEC would take hold-bytes from all others for as long as it is
// connected.
import type { PipelineContext } from "../pipelines/pipeline-context.ts";
import type { QueuedCommand, TransactionQueue } from "./transaction-queue.ts";

/** Buffered requests and blocking commands leave queues up to this size alone. */
const SMALL_BYTES = 64 * 1024;

export class OpenQueues {
  readonly #context: PipelineContext;
  /** Queues whose transactions do not run yet. */
  readonly #queues = new Set<TransactionQueue>();

  constructor(context: PipelineContext) {
    this.#context = context;
    context.makeRoom = () => {
      this.#makeRoom(0, SMALL_BYTES);
    };
  }

  /** Adds a command. False if hold-bytes is used up and no other queue is larger. */
  add(queue: TransactionQueue, item: QueuedCommand, bytes: number): boolean {
    // It will not be executed. Redis keeps no more commands then, either.
    if (queue.isBroken) return true;
    const context = this.#context;
    this.#makeRoom(bytes, queue.bytes + bytes);
    if (context.bufferedBytes + bytes > context.holdBytesMax) return false;
    context.bufferedBytes += bytes;
    queue.bytes += bytes;
    // A copy, so that the whole received chunk is not kept in memory.
    queue.items.push({ ...item, command: item.command && Buffer.from(item.command) });
    this.#queues.add(queue);
    return true;
  }

  /** The transaction runs: its commands may be needed again until it has ended. */
  keep(queue: TransactionQueue): void {
    this.#queues.delete(queue);
  }

  remove(queue: TransactionQueue): void {
    this.#queues.delete(queue);
    this.#context.bufferedBytes -= queue.bytes;
    queue.bytes = 0;
  }

  /** Drops the largest queues with more than `keptBytes` until `bytes` more are within hold-bytes. */
  #makeRoom(bytes: number, keptBytes: number): void {
    const context = this.#context;
    while (context.bufferedBytes + bytes > context.holdBytesMax) {
      let largest: TransactionQueue | undefined;
      for (const queue of this.#queues) {
        if (queue.bytes > (largest?.bytes ?? keptBytes)) largest = queue;
      }
      if (largest === undefined) return;
      largest.isBroken = largest.isDropped = true;
      largest.items.length = 0;
      this.remove(largest);
    }
  }
}
